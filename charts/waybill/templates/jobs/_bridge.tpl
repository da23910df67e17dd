{{/* The bridge between the channel and a stream. */}}

{{/* The template of its pod. */}}
{{- define "waybill.bridge.pod" -}}
metadata:
  labels:
    {{- include "waybill.podLabels" (list . "bridge") | nindent 4 }}
spec:
  {{- include "waybill.pod" (list . 65532) | nindent 2 }}
  restartPolicy: {{ ternary "Never" "Always" .Values.bridge.once }}
  containers:
    - name: bridge
      image: {{ include "waybill.image" (list . .Values.image) }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [bridge, --stream={{ .Values.bridge.stream }}{{ if .Values.bridge.once }}, --once{{ end }}]
      {{- include "waybill.environment" (list . "none") | nindent 6 }}
      resources:
        {{- toYaml .Values.bridge.resources | nindent 8 }}
      {{- include "waybill.container" . | nindent 6 }}
      {{- with .Values.extraVolumeMounts }}
      volumeMounts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- with .Values.extraVolumes }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The spec of the Job that ends when both sides are equal. */}}
{{- define "waybill.bridge.job" -}}
# It goes on where it was, so that trying again costs little: a server may be away for longer than the
# minute that it waits, and a new pod may be too early for its NetworkPolicy.
backoffLimit: 20
activeDeadlineSeconds: 604800
ttlSecondsAfterFinished: 604800
template:
  {{- include "waybill.bridge.pod" . | nindent 2 }}
{{- end }}
