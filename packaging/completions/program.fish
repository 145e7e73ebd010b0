# Completion of @PROGRAM@ for fish. The program itself knows what may come next.

function __@NAME@_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program complete -- $words "$typed" 2>/dev/null)
        if test "$line" = '>files'
            set -l option (string match -r -- '^--[^=]*=' "$typed")
            for file in (__fish_complete_path (string replace -r -- '^--[^=]*=' '' "$typed"))
                printf '%s%s\n' "$option" "$file"
            end
        else
            printf '%s\n' "$line"
        end
    end
end

complete -c @PROGRAM@ -f -a '(__@NAME@_complete)'
