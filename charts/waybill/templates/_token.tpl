{{/*
The token that `helm test`, load tests and monitors send to a service that asks for one; each of these
renders nothing without access.clientTokenSecret.
*/}}

{{/* The volume of a pod. */}}
{{- define "waybill.token.volume" -}}
{{- with .Values.access.clientTokenSecret -}}
- name: token
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: {{ $.Values.access.clientTokenKey }}
        path: token
{{- end }}
{{- end }}

{{/* Its mount. */}}
{{- define "waybill.token.mount" -}}
{{- if .Values.access.clientTokenSecret -}}
- name: token
  mountPath: /etc/waybill/token
  readOnly: true
{{- end }}
{{- end }}

{{/* What our binary is told: arguments as JSON. */}}
{{- define "waybill.token.args" -}}
{{- ternary (list "--token-file=/etc/waybill/token/token") list (ne .Values.access.clientTokenSecret "") | toJson }}
{{- end }}

{{/* How Prometheus sends it, in the words of its operator. */}}
{{- define "waybill.token.monitor" -}}
{{- if dig "access" "protect_metrics" false .Values.settings -}}
authorization:
  credentials:
    name: {{ .Values.access.clientTokenSecret }}
    key: {{ .Values.access.clientTokenKey }}
{{- end }}
{{- end }}
