#compdef @PROGRAM@
# Completion of @PROGRAM@ for zsh. The program itself knows what may come next.

local -a lines plain open typed
local line word

typed=("${(@Q)words[2,CURRENT-1]}")
(( CURRENT > 2 )) || typed=()
lines=("${(@f)$("${(Q)words[1]}" complete -- "${(@)typed}" "${(Q)PREFIX}" 2>/dev/null)}")
for line in "${(@)lines}"; do
    word=${line%%$'\t'*}
    case $word in
    '') ;;
    '>files')
        compset -P '--*='
        _files
        ;;
    *=) open+=("${word//:/\\:}:${line#*$'\t'}") ;;
    *) plain+=("${word//:/\\:}:${line#*$'\t'}") ;;
    esac
done
_describe -t words '@PROGRAM@' plain -- open -S ''
