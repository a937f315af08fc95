# enclayer: completion for fish. `enclayer __complete` knows; here is only what fish needs to be told.
function __enclayer_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l before (string match --regex -- '^-[^=]*=' $current)
    set -l path (string replace --regex -- '^-[^=]*=' '' $current)
    for line in ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':0'
                __fish_complete_path "$path" | string replace --regex '^' -- "$before"
            case ':16'
                __fish_complete_directories "$path" | string replace --regex '^' -- "$before"
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete --command enclayer --no-files --keep-order --arguments '(__enclayer_complete)'
