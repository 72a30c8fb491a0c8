# Completions of sdgen for bash; `source` it, or put it into the folder of completions.
_sdgen() {
    local words=("${COMP_WORDS[0]}") last=0 index=0 joined=1 current word i
    # Bash cuts words at `=` and `:`, which are parts of sdgen's values: they are put together again.
    for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)) && [[ $word != [=:]* ]]; then
            word=$2
        fi
        if [[ $word == [=:]* ]] && ((i > 1)); then
            words[last]+=$word
            joined=1
        elif ((joined && i > 1)) && [[ ${COMP_WORDS[i - 1]} == [=:]* ]]; then
            words[last]+=$word
            joined=0
        else
            last=$((last + 1))
            words[last]=$word
            joined=0
        fi
        if ((i == COMP_CWORD)); then
            index=$last
            current=${words[last]}
            break
        fi
    done
    COMPREPLY=()
    IFS=$'\013' read -r -d '' -a COMPREPLY < <(
        _CLAP_IFS=$'\013' _CLAP_COMPLETE_INDEX=$index _SDGEN_COMPLETE=bash sdgen -- "${words[@]}" 2>/dev/null
    )
    # Bash replaces the piece behind the last cut.
    local cut=${current%"$2"}
    [[ $2 == [=:]* ]] && cut=$current
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    if [[ ${COMPREPLY[0]-} == *[=/:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
if [[ ${BASH_VERSINFO[0]} -gt 4 || ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 ]]; then
    complete -o bashdefault -o nosort -F _sdgen sdgen
else
    complete -o bashdefault -F _sdgen sdgen
fi
