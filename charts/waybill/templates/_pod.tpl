{{/* What all pods have in common. Every one of them passes the restricted profile. */}}

{{/* Called with (list $ uid). fsGroup lets the user write to volumes that belong to root. */}}
{{- define "waybill.pod" -}}
{{- $root := index . 0 -}}
{{- $uid := index . 1 -}}
serviceAccountName: {{ include "waybill.serviceAccountName" $root }}
automountServiceAccountToken: false
# Otherwise the variables of other Services mix with the settings.
enableServiceLinks: false
# A name that is asked for before a new pod's NetworkPolicy lets it is asked for again after 1 s, not 5.
dnsConfig:
  options:
    - name: timeout
      value: "1"
    - name: attempts
      value: "5"
securityContext:
  runAsNonRoot: true
  {{- if not $root.Values.openshift }}
  runAsUser: {{ $uid | int }}
  runAsGroup: {{ $uid | int }}
  fsGroup: {{ $uid | int }}
  {{- end }}
  # A large volume is not walked through at every start.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "waybill.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* A claim, called with a persistence section. */}}
{{- define "waybill.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .storageClass }}
storageClassName: {{ ternary "" . (eq . "-") | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end }}
