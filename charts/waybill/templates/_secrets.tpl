{{/*
The value of a key, called with (list $ "Secret's name" "key" "value given"): what the Secret in the
cluster says, else what was given, else something new. The cluster comes first because Postgres and
the broker keep the password they were first started with.
*/}}
{{- define "waybill.password" -}}
{{- $root := index . 0 -}}
{{- $there := lookup "v1" "Secret" $root.Release.Namespace (index . 1) | default dict -}}
{{- $kept := dig "data" (index . 2) "" $there | b64dec -}}
{{/* The letter in front keeps the broker's configuration from reading digits as a number. */}}
{{- coalesce $kept (index . 3) (printf "w%s" (randAlphaNum 31)) -}}
{{- end }}
