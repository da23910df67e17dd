{{/*
A pod of `helm test` up to its container, called with (list $ "name"), and as a third
argument "scripts" for the test's scripts in a volume of that name, or "tls" for what a client needs: it publishes orders to each source that is read and leaves the receipts
in the volume "work". `helm test --logs` shows the log of a pod's one container and of no init
container, so each check is a pod of its own.
*/}}
{{- define "waybill.testPod" -}}
{{- $root := index . 0 -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "waybill.fullname" $root }}-{{ index . 1 }}
  labels:
    {{- include "waybill.labels" (list $root "test") | nindent 4 }}
  annotations:
    helm.sh/hook: test
    # Kept until the next test, for `helm test --logs` and for whoever looks for the reason.
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  {{- include "waybill.pod" (list $root 65532) | nindent 2 }}
  restartPolicy: Never
  activeDeadlineSeconds: 600
  initContainers:
    # It tries again for a minute: in its first moment a pod may be too early for its NetworkPolicy.
    {{- $mix := list "--generate" "\"50\"" "--bad-ratio" "\"0.2\"" "--duplicate-ratio" "\"0.1\"" }}
    {{- include "waybill.publish" (list $root $mix) | nindent 4 }}
    {{- if include "waybill.readsBoth" $root }}
    {{- include "waybill.publish" (list $root $mix "stream") | nindent 4 }}
    {{- end }}
  volumes:
    - name: work
      emptyDir:
        sizeLimit: 64Mi
    {{- if has "scripts" . }}
    - name: scripts
      configMap:
        name: {{ include "waybill.fullname" $root }}-test
    {{- end }}
    {{- if has "tls" . }}
    {{- with include "waybill.tls.volumes" (list $root (include "waybill.tls.clientVolumes" (list $root "http") | fromJsonArray)) }}{{ . | nindent 4 }}{{ end }}
    {{- end }}
    {{- with include "waybill.token.volume" $root }}{{ . | nindent 4 }}{{ end }}
    {{- with $root.Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
