{{/*
Where orders come from, and whose servers those are. Each renders a word where it holds and nothing
where it does not.
*/}}

{{/* Replicas read the channel of NATS Streaming. */}}
{{- define "waybill.readsChannel" -}}
{{- if ne (dig "broker" "enabled" true .Values.settings | toString) "false" }}yes{{ end }}
{{- end }}

{{/* There is a broker, of this chart or another. */}}
{{- define "waybill.hasBroker" -}}
{{- if or .Values.natsStreaming.enabled .Values.broker.existingSecret }}yes{{ end }}
{{- end }}

{{/* The broker that is used is that of this chart. */}}
{{- define "waybill.ownBroker" -}}
{{- if and .Values.natsStreaming.enabled (not .Values.broker.existingSecret) }}yes{{ end }}
{{- end }}

{{/* There are servers of streams, of this chart or others; replicas read a stream wherever there are. */}}
{{- define "waybill.hasNats" -}}
{{- if or .Values.nats.enabled .Values.jetstream.existingSecret }}yes{{ end }}
{{- end }}

{{/* The servers of streams that are used are those of this chart. */}}
{{- define "waybill.ownNats" -}}
{{- if and .Values.nats.enabled (not .Values.jetstream.existingSecret) }}yes{{ end }}
{{- end }}

{{/* Replicas read both. */}}
{{- define "waybill.readsBoth" -}}
{{- if and (include "waybill.readsChannel" .) (include "waybill.hasNats" .) }}yes{{ end }}
{{- end }}
