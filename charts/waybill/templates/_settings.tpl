{{/* How the settings reach the service and the Jobs that use its binary. */}}

{{/* Whole numbers come out of YAML as floating point, and 1000000 would be printed as 1e+06. */}}
{{- define "waybill.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end }}
{{- end }}

{{- define "waybill.brokerSecret" -}}
{{ default (include "waybill.brokerName" .) .Values.broker.existingSecret }}
{{- end }}

{{- define "waybill.natsSecret" -}}
{{ default (include "waybill.natsName" .) .Values.jetstream.existingSecret }}
{{- end }}

{{- define "waybill.databaseSecret" -}}
{{ default (printf "%s-postgres" (include "waybill.fullname" .)) .Values.database.existingSecret }}
{{- end }}

{{/* The key of the owner's URL, or nothing when there is one role for both. */}}
{{- define "waybill.migrateUrlKey" -}}
{{- if .Values.database.existingSecret -}}
{{ .Values.database.migrateUrlKey }}
{{- else -}}
migrate-url
{{- end }}
{{- end }}

{{/* The key of the service's URL. */}}
{{- define "waybill.urlKey" -}}
{{ ternary .Values.database.urlKey "url" (ne .Values.database.existingSecret "") }}
{{- end }}

{{/*
The environment of our binary, called with (list $ "variable") or, where the Secret is mounted at
/etc/waybill/database, (list $ "file"): a file is looked at again, so a new password needs no restart.
With (list $ "none") it gets nothing of the database.
A variable in extraEnv takes the place of the chart's: no name comes twice, which Helm 4 refuses.
*/}}
{{- define "waybill.environment" -}}
{{- $root := index . 0 -}}
envFrom:
  - configMapRef:
      name: {{ include "waybill.fullname" $root }}
  {{- with $root.Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- $given := dict }}
  {{- range $root.Values.extraEnv }}{{ $_ := set $given .name true }}{{ end }}
  {{- /* Of these only one may be set. */}}
  {{- $urls := list "WAYBILL_DATABASE__URL" "WAYBILL_DATABASE__URL_FILE" }}
  {{- if or (hasKey $given (first $urls)) (hasKey $given (last $urls)) }}
  {{- range $urls }}{{ $_ := set $given . true }}{{ end }}
  {{- end }}
  {{- range include "waybill.ownEnv" . | fromYamlArray }}
  {{- if not (hasKey $given .name) }}
  {{- toYaml (list .) | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- with $root.Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What the chart itself sets, called as "waybill.environment". */}}
{{- define "waybill.ownEnv" -}}
{{- $root := index . 0 -}}
# One session a pod: two of one name would throw each other out.
- name: WAYBILL_BROKER__CLIENT_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- if include "waybill.hasBroker" $root }}
- name: WAYBILL_BROKER__URL
  valueFrom:
    secretKeyRef:
      name: {{ include "waybill.brokerSecret" $root }}
      key: {{ ternary $root.Values.broker.urlKey "url" (ne $root.Values.broker.existingSecret "") }}
{{- end }}
{{- if include "waybill.hasNats" $root }}
- name: WAYBILL_JETSTREAM__URL
  valueFrom:
    secretKeyRef:
      name: {{ include "waybill.natsSecret" $root }}
      key: {{ ternary $root.Values.jetstream.urlKey "url" (ne $root.Values.jetstream.existingSecret "") }}
{{- end }}
{{- if eq (index . 1) "file" }}
- name: WAYBILL_DATABASE__URL_FILE
  value: /etc/waybill/database/url
{{- include "waybill.tls.env" $root }}
{{- range $section := list "access" "audit" }}
{{- range $key, $value := index $root.Values.settings $section }}
- name: WAYBILL_{{ upper $section }}__{{ upper $key }}
  value: {{ include "waybill.scalar" $value | quote }}
{{- end }}
{{- end }}
{{- if $root.Values.access.existingSecret }}
- name: WAYBILL_ACCESS__TOKENS_FILE
  value: /etc/waybill/access/tokens.toml
{{- end }}
{{- else if eq (index . 1) "variable" }}
- name: WAYBILL_DATABASE__URL
  valueFrom:
    secretKeyRef:
      name: {{ include "waybill.databaseSecret" $root }}
      key: {{ include "waybill.urlKey" $root }}
{{- end }}
{{- $migrateUrlKey := include "waybill.migrateUrlKey" $root }}
{{- if and $migrateUrlKey (ne (index . 1) "none") }}
- name: WAYBILL_DATABASE__MIGRATE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "waybill.databaseSecret" $root }}
      key: {{ $migrateUrlKey }}
{{- end }}
{{- end }}
