{{/* Names, labels and images. Those that take a component are called with (list $ "component"). */}}

{{- define "waybill.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/*
At most 37 characters: with "-nats-streaming" that makes the 52 of a StatefulSet's name, whose pods
have a label of it and ten characters more, or of a CronJob's. A longer one keeps its beginning and
gets a checksum, so that two that begin alike stay apart.
*/}}
{{- define "waybill.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $name = .Release.Name }}
{{- if not (contains (include "waybill.name" .) .Release.Name) }}
{{- $name = printf "%s-%s" .Release.Name (include "waybill.name" .) }}
{{- end }}
{{- end }}
{{- if gt (len $name) 37 -}}
{{ printf "%s-%s" ($name | trunc 28 | trimSuffix "-") ($name | sha256sum | trunc 8) }}
{{- else -}}
{{ $name | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "waybill.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "waybill.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* What selects the pods of a component. Immutable in a Deployment, so it never grows. */}}
{{- define "waybill.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "waybill.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "waybill.labels" -}}
{{- $root := index . 0 -}}
{{ include "waybill.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ include "waybill.name" $root }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The labels of a component's pods: not the chart's version, or every release would restart them all. */}}
{{- define "waybill.podLabels" -}}
{{ include "waybill.selector" . }}
{{- with (index . 0).Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Called with (list $ .Values.….image): the digest wins over the tag. */}}
{{- define "waybill.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := default $root.Values.global.imageRegistry $image.registry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}
