{{/* The rules that several NetworkPolicies share. */}}

{{- define "waybill.egress.dns" -}}
- to:
    {{- toYaml .Values.networkPolicy.dnsTo | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - port: {{ . | int }}
      protocol: UDP
    - port: {{ . | int }}
      protocol: TCP
    {{- end }}
{{- end }}

{{/*
All servers that orders come from, called with (list $ ports) of the broker: 4222 for its clients, 8222
for its monitor.
*/}}
{{- define "waybill.egress.sources" -}}
{{- with include "waybill.egress.broker" . }}
{{- . }}
{{- end }}
{{- with include "waybill.egress.jetstream" (index . 0) }}
{{ . }}
{{- end }}
{{- end }}

{{/* Called likewise; nothing where there is no broker. */}}
{{- define "waybill.egress.broker" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.broker.existingSecret -}}
{{ include "waybill.egress.outside" (list $root.Values.networkPolicy.brokerTo $root.Values.networkPolicy.brokerPorts) }}
{{- else if $root.Values.natsStreaming.enabled -}}
{{ include "waybill.egress.component" (list $root "nats-streaming" (index . 1)) }}
{{- end }}
{{- end }}

{{- define "waybill.egress.jetstream" -}}
{{- if .Values.jetstream.existingSecret -}}
{{ include "waybill.egress.outside" (list .Values.networkPolicy.jetstreamTo (list .Values.networkPolicy.jetstreamPort)) }}
{{- else if .Values.nats.enabled -}}
{{ include "waybill.egress.component" (list . "nats" (list 4222)) }}
{{- end }}
{{- end }}

{{- define "waybill.egress.database" -}}
{{- if .Values.database.existingSecret -}}
{{ include "waybill.egress.outside" (list .Values.networkPolicy.databaseTo .Values.networkPolicy.databasePorts) }}
{{- else -}}
{{ include "waybill.egress.component" (list . "postgres" (list 5432)) }}
{{- end }}
{{- end }}

{{- define "waybill.egress.otlp" -}}
{{- if dig "telemetry" "otlp_endpoint" "" .Values.settings -}}
{{ include "waybill.egress.outside" (list .Values.networkPolicy.otlpTo (list .Values.networkPolicy.otlpPort)) }}
{{- end }}
{{- end }}

{{- define "waybill.egress.issuer" -}}
{{- if dig "access" "jwks_url" "" .Values.settings -}}
{{ include "waybill.egress.outside" (list .Values.networkPolicy.issuerTo (list .Values.networkPolicy.issuerPort)) }}
{{- end }}
{{- end }}

{{/* Called with (list $ "component" ports). */}}
{{- define "waybill.egress.component" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "waybill.selector" . | nindent 10 }}
  ports:
    {{- range index . 2 }}
    - port: {{ . }}
    {{- end }}
{{- end }}

{{/* Called with (list peers ports). No peers: whoever listens on those ports. */}}
{{- define "waybill.egress.outside" -}}
- ports:
    {{- range index . 1 }}
    - port: {{ . | int }}
    {{- end }}
  {{- with index . 0 }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Peers of this release, called with (list $ "component"…). */}}
{{- define "waybill.peers" -}}
{{- $root := first . -}}
{{- range $index, $component := rest . }}
{{- if $index }}{{ "\n" }}{{ end -}}
- podSelector:
    matchLabels:
      {{- include "waybill.selector" (list $root $component) | nindent 6 }}
{{- end }}
{{- end }}
