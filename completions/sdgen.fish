complete --keep-order --exclusive --command sdgen --arguments "(_SDGEN_COMPLETE=fish sdgen -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
