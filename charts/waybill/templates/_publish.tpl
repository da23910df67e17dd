{{/*
An init container that publishes made-up orders and leaves the receipt in the volume "work"; called
with (list $ arguments), to the channel, or to the stream where it is read alone. With "stream" as a
third argument it publishes to the stream. The tests look up what it confirmed.
*/}}
{{- define "waybill.publish" -}}
{{- $root := index . 0 -}}
{{- $to := ternary (dict "name" "publish-stream" "receipt" "receipt-stream" "args" (list "--to=jetstream")) (dict "name" "publish" "receipt" "receipt" "args" list) (has "stream" .) -}}
- name: {{ $to.name }}
  image: {{ include "waybill.image" (list $root $root.Values.image) }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  args: [publish, --receipt, /scratch/{{ $to.receipt }}.ndjson, {{ join ", " (concat (index . 1) $to.args) }}]
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
