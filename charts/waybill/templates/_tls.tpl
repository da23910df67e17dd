{{/*
TLS of the service's ports, `http` or `admin`: how clients in the cluster speak to them, and what they
trust and show. Certificates are in Secrets of the layout of cert-manager.
*/}}

{{/* `https` or `http`, called with (list $ "http"). */}}
{{- define "waybill.tls.scheme" -}}
{{ ternary "https" "http" (ne (get (index . 0).Values.tls (index . 1)).existingSecret "") }}
{{- end }}

{{/* The scheme of the probes, which take every certificate; nothing where it is the default. */}}
{{- define "waybill.tls.probe" -}}
{{- if .Values.tls.admin.existingSecret -}}
scheme: HTTPS
{{- end }}
{{- end }}

{{/* Where the service finds the files of its ports; empty where there are none. */}}
{{- define "waybill.tls.env" -}}
{{- range $port := list "http" "admin" }}
{{- with get $.Values.tls $port }}
{{- if .existingSecret }}
- name: WAYBILL_{{ upper $port }}__TLS_CERT_FILE
  value: /etc/waybill/{{ $port }}-tls/tls.crt
- name: WAYBILL_{{ upper $port }}__TLS_KEY_FILE
  value: /etc/waybill/{{ $port }}-tls/tls.key
{{- if .clientCertificates }}
- name: WAYBILL_{{ upper $port }}__TLS_CLIENT_CA_FILE
  value: /etc/waybill/{{ $port }}-tls/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The volumes of a pod, called with (list $ names): of `http-tls`, `admin-tls`, `http-ca`, `admin-ca` and `client-tls` those that there is a Secret for. */}}
{{- define "waybill.tls.volumes" -}}
{{- $tls := (index . 0).Values.tls -}}
{{- range $name := index . 1 }}
{{- $port := trimSuffix "-ca" (trimSuffix "-tls" $name) }}
{{- $secret := ternary $tls.clientSecret (get $tls $port | default dict).existingSecret (eq $port "client") }}
{{- if $secret }}
- name: {{ $name }}
  secret:
    secretName: {{ $secret }}
    defaultMode: 0440
    {{- if hasSuffix "-ca" $name }}
    items:
      - key: ca.crt
        path: ca.crt
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Their mounts, called alike. Whole folders: what is mounted by subPath never changes. */}}
{{- define "waybill.tls.mounts" -}}
{{- range include "waybill.tls.volumes" . | fromYamlArray }}
- name: {{ .name }}
  mountPath: /etc/waybill/{{ .name }}
  readOnly: true
{{- end }}
{{- end }}

{{/* The volumes that a client of a port mounts, called with (list $ "http"): names as JSON. */}}
{{- define "waybill.tls.clientVolumes" -}}
{{- $https := eq (include "waybill.tls.scheme" .) "https" -}}
{{ ternary (list (printf "%s-ca" (index . 1)) "client-tls") list $https | toJson }}
{{- end }}

{{/* What our binary is told to speak to a port, called with (list $ "http"): arguments as JSON. */}}
{{- define "waybill.tls.args" -}}
{{- $args := list -}}
{{- if eq (include "waybill.tls.scheme" .) "https" }}
{{- $args = append $args (printf "--ca-file=/etc/waybill/%s-ca/ca.crt" (index . 1)) }}
{{- if (index . 0).Values.tls.clientSecret }}
{{- $args = concat $args (list "--cert-file=/etc/waybill/client-tls/tls.crt" "--key-file=/etc/waybill/client-tls/tls.key") }}
{{- end }}
{{- end }}
{{- toJson $args }}
{{- end }}

{{/* How Prometheus speaks to the admin port, in the words of its operator. */}}
{{- define "waybill.tls.monitor" -}}
{{- if .Values.tls.admin.existingSecret -}}
scheme: https
tlsConfig:
  serverName: {{ include "waybill.fullname" . }}-replicas
  ca:
    secret:
      name: {{ .Values.tls.admin.existingSecret }}
      key: ca.crt
  {{- with .Values.tls.clientSecret }}
  cert:
    secret:
      name: {{ . }}
      key: tls.crt
  keySecret:
    name: {{ . }}
    key: tls.key
  {{- end }}
{{- end }}
{{- end }}
