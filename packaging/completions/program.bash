# Completion of @PROGRAM@ for bash. The program itself knows what may come next.

_@NAME@() {
    local line=${COMP_LINE:0:COMP_POINT} word about typed breaks cut=''
    # What readline replaces begins behind a character that breaks words, as the colon does.
    typed=${line##*[[:space:]]}
    breaks=${COMP_WORDBREAKS//[^:=@]/}
    if [ -n "$breaks" ] && [[ $typed == *["$breaks"]* ]]; then
        cut=${typed%"${typed##*["$breaks"]}"}
    fi
    COMPREPLY=()
    # shellcheck disable=SC2034 # bash shows words, and not what they mean
    while IFS=$'\t' read -r word about; do
        if [ "$word" = '>files' ]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r word; do
                COMPREPLY+=("$word")
            done < <(compgen -f -- "${typed#"$cut"}")
        else
            COMPREPLY+=("${word#"$cut"}")
            case $word in *=) compopt -o nospace 2>/dev/null ;; esac
        fi
    done < <("$1" complete --line="$line" 2>/dev/null)
}

complete -F _@NAME@ @PROGRAM@
