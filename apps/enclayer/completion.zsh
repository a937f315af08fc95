#compdef enclayer
# enclayer: completion for zsh. `enclayer __complete` knows; here is only what zsh needs to be told.
_enclayer() {
  local line paths
  local -a candidates
  while IFS= read -r line; do
    case $line in
      :*) paths=${line#:} ;;
      *$'\t'*) candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
      *) candidates+=("${line//:/\\:}") ;;
    esac
  done < <("${(Q)words[1]/#\~/$HOME}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( $#candidates )) && _describe -V enclayer candidates
  [[ $PREFIX != -*=* ]] || compset -P '*='
  case $paths in
    0) _files ;;
    16) _files -/ ;;
  esac
}
if [[ $funcstack[1] == _enclayer ]]; then
  _enclayer "$@"
else
  compdef _enclayer enclayer
fi
