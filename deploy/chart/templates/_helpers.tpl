{{/* The quote helper's image: see dcapImage in values.yaml. */}}
{{- define "enclayer.helperImage" -}}
{{- if eq .Values.platform "sim" -}}
{{ .Values.image }}
{{- else if .Values.dcapImage -}}
{{ .Values.dcapImage }}
{{- else if regexMatch "(^|/)enclayer:[^:/@]+$" .Values.image -}}
{{ regexReplaceAll "enclayer:([^:/@]+)$" .Values.image "enclayer-dcap:${1}" }}
{{- else -}}
{{- fail (printf "image %s is not named REPOSITORY/enclayer:TAG, so the name of the quote helper's image cannot be derived from it: set dcapImage" .Values.image) -}}
{{- end -}}
{{- end -}}
{{/* The MiB in an amount of memory, "300Gi" or bytes, as a fraction. */}}
{{- define "enclayer.mib" -}}
{{- $bytes := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- divf (mulf (regexFind "^[0-9]+" .) (get $bytes (regexFind "[KMGT]i$" .))) 1048576 -}}
{{- end -}}
{{/* What tokens of the attestation service name. */}}
{{- define "enclayer.attestationIssuer" -}}
{{- if .Values.attestationIssuer -}}
{{ .Values.attestationIssuer }}
{{- else -}}
https://enclayer-attest.{{ .Release.Namespace }}.svc{{ if eq .Values.platform "sim" }}/simulated{{ end }}
{{- end -}}
{{- end -}}
{{/* The names that its certificate is for. */}}
{{- define "enclayer.attestationNames" -}}
{{- $service := printf "enclayer-attest.%s" .Release.Namespace -}}
{{- $names := list (printf "%s.svc" $service) $service -}}
{{- with .Values.attestationIssuer -}}
{{- $host := get (urlParse .) "hostname" -}}
{{- if not (has $host $names) -}}{{- $names = append $names $host -}}{{- end -}}
{{- end -}}
{{ join "," $names }}
{{- end -}}
