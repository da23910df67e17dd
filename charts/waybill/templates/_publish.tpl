{{/*
An init container that publishes made-up orders and leaves the receipt in the volume "work"; called
with (list $ arguments). The tests and the load look up what it confirmed.
*/}}
{{- define "waybill.publish" -}}
{{- $root := index . 0 -}}
- name: publish
  image: {{ include "waybill.image" (list $root $root.Values.image) }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  args: [publish, --receipt, /scratch/receipt.ndjson, {{ join ", " (index . 1) }}]
  {{- include "waybill.environment" (list $root "variable") | nindent 2 }}
  resources:
    {{- include "waybill.toolResources" $root | nindent 4 }}
  {{- include "waybill.container" $root | nindent 2 }}
  volumeMounts:
    - name: work
      mountPath: /scratch
    {{- with $root.Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* What a command of ours needs for the moment that it runs. */}}
{{- define "waybill.toolResources" -}}
requests:
  cpu: 50m
  memory: 64Mi
limits:
  memory: 256Mi
{{- end }}
