# enclayer: completion for bash. `enclayer __complete` knows; here is only what bash needs to be told.
_enclayer() {
  local words=() word line paths='' current prefix
  local -i i
  for ((i = 1; i <= COMP_CWORD; ++i)); do # bash cuts at = and : too
    word=${COMP_WORDS[i]}
    if ((i > 1)) && [[ $word == [=:]* || ${COMP_WORDS[i - 1]} == *[=:] ]]; then
      words[${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
  done
  current=${words[${#words[@]} - 1]}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :*) paths=${line#:} ;;
      *) COMPREPLY+=("${line%%$'\t'*}") ;;
    esac
  done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete "${words[@]}" 2>/dev/null)
  prefix=''
  [[ $current != -*=* ]] || prefix=${current%%=*}=
  case $paths in
    0 | 16)
      compopt -o filenames 2>/dev/null
      word=-f
      [[ $paths == 0 ]] || word=-d
      while IFS= read -r line; do COMPREPLY+=("$prefix$line"); done < <(compgen "$word" -- "${current#"$prefix"}")
      ;;
  esac
  prefix=${current%"${current##*[=:]}"} # what bash takes for words of their own stays as it is
  COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}
complete -F _enclayer enclayer
