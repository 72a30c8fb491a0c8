set edit:completion:arg-completer[sdgen] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) _SDGEN_COMPLETE="elvish" sdgen -- $@words) | to-lines
}
