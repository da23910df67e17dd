{{/* How many replicas there may be. */}}

{{- define "waybill.minReplicas" -}}
{{- if .Values.autoscaling.enabled -}}{{ .Values.autoscaling.minReplicas }}
{{- else if .Values.keda.enabled -}}{{ .Values.keda.minReplicas }}
{{- else -}}{{ .Values.replicaCount }}
{{- end }}
{{- end }}

{{- define "waybill.maxReplicas" -}}
{{- if .Values.autoscaling.enabled -}}{{ .Values.autoscaling.maxReplicas }}
{{- else if .Values.keda.enabled -}}{{ .Values.keda.maxReplicas }}
{{- else -}}{{ .Values.replicaCount }}
{{- end }}
{{- end }}
