{{/* Names, labels and images. Those that take a component are called with (list $ "component"). */}}

{{- define "waybill.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | regexFind ".*[A-Za-z0-9]" }}
{{- end }}

{{/*
A name that every object can have, called with (list "name" longest): lower-case letters, digits and
dashes after a letter, as Services want it. One that had to be changed for that gets a checksum, so
that two that come out alike stay apart.
*/}}
{{- define "waybill.bounded" -}}
{{- $name := index . 0 -}}
{{- $longest := index . 1 -}}
{{- $legal := regexReplaceAll "[^a-z0-9-]" (lower $name) "-" -}}
{{- $legal = regexReplaceAll "^[^a-z]" $legal "w${0}" -}}
{{- if or (ne $legal $name) (gt (len $name) $longest) -}}
{{ printf "%s-%s" ($legal | trunc (int (sub $longest 9)) | trimSuffix "-") ($name | sha256sum | trunc 8) }}
{{- else -}}
{{ $name }}
{{- end }}
{{- end }}

{{/* What the names are made of, however long. */}}
{{- define "waybill.wholeName" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | regexFind ".*[a-z0-9]" }}
{{- else if contains (include "waybill.name" .) .Release.Name -}}
{{ .Release.Name }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "waybill.name" .) }}
{{- end }}
{{- end }}

{{/* At most 40 characters, so that "-reconcile" fits into the 52 of a CronJob's name. */}}
{{- define "waybill.fullname" -}}
{{ include "waybill.bounded" (list (include "waybill.wholeName" .) 40) }}
{{- end }}

{{/* The 52 of a StatefulSet's name, whose pods have a label of it and eleven characters more. */}}
{{- define "waybill.brokerName" -}}
{{ include "waybill.bounded" (list (include "waybill.wholeName" .) 37) }}-nats-streaming
{{- end }}

{{- define "waybill.natsName" -}}
{{ include "waybill.fullname" . }}-nats
{{- end }}

{{/* The 46 of a Deployment's name. */}}
{{- define "waybill.bridgeName" -}}
{{ include "waybill.bounded" (list (include "waybill.wholeName" .) 39) }}-bridge
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

{{/* A third argument is a map of the user's labels, which win. */}}
{{- define "waybill.labels" -}}
{{- if gt (len .) 2 -}}
{{ merge (deepCopy (index . 2)) (include "waybill.labels" (slice . 0 2) | fromYaml) | toYaml }}
{{- else -}}
{{- $root := index . 0 -}}
{{ include "waybill.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ include "waybill.name" $root }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}
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
