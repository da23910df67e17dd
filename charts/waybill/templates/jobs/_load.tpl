{{/*
The Jobs of a load run. Each step is a container with nothing but arguments, and init containers run
one after the other: orders are published, targets are made of them when they are served, vegeta
attacks at one rate after the other, and the report judges. `watch` runs beside all of them.
*/}}

{{/* Seconds of durations such as 20s, 5m or 1h, summed; called with a list. */}}
{{- define "waybill.load.seconds" -}}
{{- $unit := dict "s" 1 "m" 60 "h" 3600 -}}
{{- $sum := 0 -}}
{{- range . }}
{{- $sum = add $sum (mul (trimSuffix (trimAll "0123456789" .) . | int64) (get $unit (trimAll "0123456789" .))) }}
{{- end -}}
{{ $sum }}
{{- end }}

{{/* What the arguments name of the pod. */}}
{{- define "waybill.load.variables" -}}
- name: NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: JOB
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/job-name']
- name: INDEX
  valueFrom:
    fieldRef:
      fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
{{- end }}

{{/*
A container of our image, called with a map: root, name, args, and if need be ports, restartPolicy,
resources, settings: true for what speaks to the broker or Postgres, and asks: the port of the service
that it asks.
*/}}
{{- define "waybill.load.tool" -}}
{{- $root := .root -}}
- name: {{ .name }}
  image: {{ include "waybill.image" (list $root $root.Values.image) }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  args:
    {{- toYaml .args | nindent 4 }}
  {{- if .settings }}
  {{- include "waybill.environment" (list $root "variable") | nindent 2 }}
  {{- else }}
  env:
  {{- end }}
    {{- include "waybill.load.variables" . | nindent 4 }}
  {{- with .ports }}
  ports:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    {{- if .resources }}
    {{- toYaml .resources | nindent 4 }}
    {{- else }}
    {{- include "waybill.toolResources" $root | nindent 4 }}
    {{- end }}
  {{- include "waybill.container" $root | nindent 2 }}
  volumeMounts:
    {{- include "waybill.load.mount" $root | nindent 4 }}
    {{- if .asks }}
    {{- with include "waybill.tls.mounts" (list $root (include "waybill.tls.clientVolumes" (list $root .asks) | fromJsonArray)) }}{{ . | nindent 4 }}{{ end }}
    {{- with include "waybill.token.mount" $root }}{{ . | nindent 4 }}{{ end }}
    {{- end }}
    {{- if .settings }}
    {{- with $root.Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end }}

{{/*
Where the files of a run are: a folder of the pod's own in a volume that is kept, and the requests,
which have the token, in one that goes with the pod.
*/}}
{{- define "waybill.load.mount" -}}
- name: work
  mountPath: /scratch
  {{- if .Values.load.existingClaim }}
  subPathExpr: $(POD)
  {{- end }}
- name: requests
  mountPath: /requests
{{- end }}

{{/* What our binary is told to ask a port of the service, called with (list $ "http"): arguments as JSON. */}}
{{- define "waybill.load.clientArgs" -}}
{{- concat (include "waybill.tls.args" . | fromJsonArray) (include "waybill.token.args" (index . 0) | fromJsonArray) | toJson }}
{{- end }}

{{/* A stage, called with (list $ stage workers): each worker sends its share of the rate. */}}
{{- define "waybill.load.attack" -}}
{{- $root := index . 0 -}}
{{- $stage := index . 1 -}}
{{- $rate := $stage.rate | int64 -}}
- name: attack-{{ $rate }}
  image: {{ include "waybill.image" (list $root $root.Values.load.image) }}
  imagePullPolicy: {{ $root.Values.load.image.pullPolicy }}
  command: [vegeta]
  args:
    - attack
    - -name={{ $rate }}
    - -rate={{ $rate }}/{{ index . 2 }}s
    - -duration={{ $stage.duration }}
    - -targets=/requests/targets.json
    - -format=json
    - -timeout=5s
    - -max-body=0
    - -output=/scratch/{{ $rate }}.bin
    {{- if $root.Values.tls.http.existingSecret }}
    - -root-certs=/etc/waybill/http-ca/ca.crt
    {{- if $root.Values.tls.clientSecret }}
    - -cert=/etc/waybill/client-tls/tls.crt
    - -key=/etc/waybill/client-tls/tls.key
    {{- end }}
    {{- end }}
  env:
    {{- include "waybill.load.variables" $root | nindent 4 }}
  resources:
    {{- toYaml $root.Values.load.resources | nindent 4 }}
  {{- include "waybill.container" $root | nindent 2 }}
  volumeMounts:
    {{- include "waybill.load.mount" $root | nindent 4 }}
    {{- with include "waybill.tls.mounts" (list $root (include "waybill.tls.clientVolumes" (list $root "http") | fromJsonArray)) }}{{ . | nindent 4 }}{{ end }}
{{- end }}

{{/* Samples the replicas' metrics meanwhile, and shows Prometheus which stage runs. */}}
{{- define "waybill.load.watch" -}}
{{- $name := include "waybill.fullname" . -}}
{{- $args := list "load" "watch" (printf "--metrics=%s://%s-replicas:8081/metrics" (include "waybill.tls.scheme" (list . "admin")) $name) "--output=/scratch/server.ndjson" (printf "--listen=%s:8082" .Values.listenAddress) -}}
{{- $args = concat $args (include "waybill.load.clientArgs" (list . "admin") | fromJsonArray) -}}
{{- $resources := dict "requests" (dict "cpu" "10m" "memory" "16Mi") "limits" (dict "memory" "64Mi") -}}
{{- $ports := list (dict "name" "watch" "containerPort" 8082) -}}
{{ include "waybill.load.tool" (dict "root" . "name" "watch" "args" $args "restartPolicy" "Always" "ports" $ports "resources" $resources "asks" "admin") }}
{{- end }}

{{/* What workers do together, called with (list $ "name" arguments workers). */}}
{{- define "waybill.load.together" -}}
{{- $root := index . 0 -}}
{{- $workers := printf "--workers=%d" (index . 3 | int64) -}}
{{- $first := printf "--first=$(JOB)-0.%s-load:8090" (include "waybill.fullname" $root) -}}
{{- $listen := printf "--listen=%s:8090" $root.Values.listenAddress -}}
{{- $args := concat (index . 2) (list $workers "--index=$(INDEX)" $first $listen) -}}
{{ include "waybill.load.tool" (dict "root" $root "name" (index . 1) "args" $args) }}
{{- end }}

{{/* The steps of a run over lookups before its report, called with a map: root, stages, mix, workers. */}}
{{- define "waybill.load.lookups" -}}
{{- $root := .root -}}
{{- $load := $root.Values.load -}}
{{- $url := printf "--url=%s://%s:%d" (include "waybill.tls.scheme" (list $root "http")) (include "waybill.fullname" $root) ($root.Values.service.port | int64) -}}
{{- $receipt := "--receipt=/scratch/receipt.ndjson" -}}
{{- $publish := list "publish" (printf "--generate=%d" ($load.orders | int64)) $receipt -}}
{{ include "waybill.load.tool" (dict "root" $root "name" "publish" "args" $publish "settings" true) }}
{{ include "waybill.load.watch" $root }}
{{- /* A Service gives each connection to one replica: kept ones alone would measure few of them, and would not see that new ones fail. */}}
{{- $targets := list "load" "targets" $receipt $url (printf "--mix=%s" .mix) "--new-connections=0.5" "--seed=$(INDEX)" "--output=/requests/targets.json" }}
{{- $targets = concat $targets (include "waybill.load.clientArgs" (list $root "http") | fromJsonArray) }}
{{ include "waybill.load.tool" (dict "root" $root "name" "targets" "args" $targets "asks" "http") }}
{{- if gt (int64 .workers) 1 }}
{{ include "waybill.load.together" (list $root "barrier" (list "load" "barrier") .workers) }}
{{- end }}
{{- $workers := .workers }}
{{- range .stages }}
{{ include "waybill.load.attack" (list $root . $workers) }}
{{- end }}
{{- if gt (int64 .workers) 1 }}
{{ include "waybill.load.together" (list $root "gather" (list "load" "gather" "/scratch") .workers) }}
{{- end }}
{{- end }}

{{/* The steps of a run over ingest before its report. */}}
{{- define "waybill.load.ingest" -}}
{{- $load := .Values.load -}}
{{- $url := printf "--url=%s://%s:%d" (include "waybill.tls.scheme" (list . "http")) (include "waybill.fullname" .) (.Values.service.port | int64) -}}
{{ include "waybill.load.watch" . }}
{{- $rates := list }}
{{- range $load.ingest.rates }}{{ $rates = append $rates (. | int64 | toString) }}{{ end }}
{{- $args := list "load" "ingest" (printf "--rates=%s" (join "," $rates)) (printf "--duration=%s" $load.ingest.duration) $url "--output=/scratch" "--no-fail" }}
{{- $args = concat $args (include "waybill.load.clientArgs" (list . "http") | fromJsonArray) }}
{{ include "waybill.load.tool" (dict "root" . "name" "ingest" "args" $args "settings" true "resources" $load.resources "asks" "http") }}
{{- end }}

{{/*
The spec of a Job, called with a map: root, steps (rendered), slo (the report's argument), noFail,
seconds that the stages last, workers.
*/}}
{{- define "waybill.load.job" -}}
{{- $root := .root -}}
{{- $load := $root.Values.load -}}
completionMode: Indexed
completions: {{ .workers }}
parallelism: {{ .workers }}
# A breach is a result, and a run that was cut off is none: neither is repeated.
backoffLimit: 0
# Half an hour besides: to be scheduled, to publish, to wait for each other.
activeDeadlineSeconds: {{ add 1800 .seconds }}
ttlSecondsAfterFinished: 86400
template:
  metadata:
    labels:
      {{- include "waybill.podLabels" (list $root "load") | nindent 6 }}
  spec:
    {{- include "waybill.pod" (list $root 65532) | nindent 4 }}
    restartPolicy: Never
    # Gives worker 0 the name that the others know it by.
    subdomain: {{ include "waybill.fullname" $root }}-load
    # Who measures beside what is measured measures itself.
    affinity:
      podAntiAffinity:
        preferredDuringSchedulingIgnoredDuringExecution:
          {{- range list "server" "load" }}
          - weight: 50
            podAffinityTerm:
              topologyKey: kubernetes.io/hostname
              labelSelector:
                matchLabels:
                  {{- include "waybill.selector" (list $root .) | nindent 18 }}
          {{- end }}
    initContainers:
      {{- .steps | nindent 6 }}
    containers:
      {{- $footer := "--footer=The report as a page: kubectl -n $(NAMESPACE) logs $(POD) -c html > report.html" }}
      {{- $args := list "load" "report" "/scratch" .slo $footer }}
      {{- if .noFail }}{{ $args = append $args "--no-fail" }}{{ end }}
      {{- include "waybill.load.tool" (dict "root" $root "name" "report" "args" $args "resources" $load.resources) | nindent 6 }}
      {{- /* Beside it, for its log to be the page. */}}
      {{- $resources := dict "requests" (dict "cpu" "10m" "memory" "32Mi") "limits" $load.resources.limits }}
      {{- include "waybill.load.tool" (dict "root" $root "name" "html" "args" (list "load" "report" "/scratch" .slo "--html") "resources" $resources) | nindent 6 }}
    volumes:
      - name: work
        {{- if $load.existingClaim }}
        persistentVolumeClaim:
          claimName: {{ $load.existingClaim }}
        {{- else }}
        emptyDir:
          sizeLimit: 2Gi
        {{- end }}
      - name: requests
        emptyDir:
          sizeLimit: 256Mi
      {{- with include "waybill.token.volume" $root }}{{ . | nindent 6 }}{{ end }}
      {{- $trusts := concat (include "waybill.tls.clientVolumes" (list $root "http") | fromJsonArray) (include "waybill.tls.clientVolumes" (list $root "admin") | fromJsonArray) | uniq }}
      {{- with include "waybill.tls.volumes" (list $root $trusts) }}{{ . | nindent 6 }}{{ end }}
      {{- with $root.Values.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}

{{/* A CronJob, called with a map: root, name, job (rendered), and schedule; without one it never runs by itself. */}}
{{- define "waybill.load.cronJob" -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "waybill.fullname" .root }}-{{ .name }}
  labels:
    {{- include "waybill.labels" (list .root "load") | nindent 4 }}
spec:
  schedule: {{ default "0 0 1 1 *" .schedule | quote }}
  suspend: {{ empty .schedule }}
  concurrencyPolicy: Forbid
  successfulJobsHistoryLimit: 10
  failedJobsHistoryLimit: 10
  jobTemplate:
    spec:
      {{- .job | nindent 6 }}
{{- end }}
