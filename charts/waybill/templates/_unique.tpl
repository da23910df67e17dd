{{/*
Fails for what the values add to the chart's own and what is there already, called with (list "value"
names taken), or with maps instead of names and the key of the name in them as a fourth argument.
*/}}
{{- define "waybill.unique" -}}
{{- $value := index . 0 -}}
{{- $taken := index . 2 -}}
{{- $key := last . -}}
{{- $seen := list -}}
{{- range index . 1 }}
{{- $name := . }}
{{- if kindIs "map" . }}{{ $name = get . $key }}{{ end }}
{{- if has $name $taken }}
{{- fail (printf "%s: %s is one of the chart's own: choose another (taken: %s)" $value $name (join ", " (sortAlpha $taken))) }}
{{- else if has $name $seen }}
{{- fail (printf "%s: %s is there twice" $value $name) }}
{{- end }}
{{- $seen = append $seen $name }}
{{- end }}
{{- end }}
