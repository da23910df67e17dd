{{/* The JetStream servers of this chart. */}}

{{/* Bytes that messages may take of a volume of the given size, such as 8Gi: nine tenths. */}}
{{- define "waybill.natsStoreBytes" -}}
{{- $unit := trimAll "0123456789." . -}}
{{- $factor := get (dict "" 1.0 "K" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0) $unit -}}
{{ mulf (trimSuffix $unit . | float64) $factor 0.9 | floor | int64 }}
{{- end }}

{{/*
The environment of a server. The configuration reads the value of a variable as if it were written
there: in quotes, so that a password of digits alone is text.
*/}}
{{- define "waybill.natsEnv" -}}
{{- $root := . -}}
{{- $name := include "waybill.natsName" . -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $name }}
      key: password
- name: CLIENT_PASSWORD
  value: '"$(PASSWORD)"'
{{- if gt (int .Values.nats.replicas) 1 }}
- name: PASSWORD_OF_ROUTES
  valueFrom:
    secretKeyRef:
      name: {{ $name }}
      key: route-password
- name: ROUTE_PASSWORD
  value: '"$(PASSWORD_OF_ROUTES)"'
{{- $routes := list }}
{{- range until (int .Values.nats.replicas) }}
{{- $routes = append $routes (printf "\"nats://routes:$(PASSWORD_OF_ROUTES)@%s-%d.%s-headless:6222\"" $name . $name) }}
{{- end }}
- name: ROUTES
  value: '[{{ join ", " $routes }}]'
- name: CLIENT_ADVERTISE
  value: '"$(POD_NAME).{{ $name }}-headless.{{ $root.Release.Namespace }}.svc:4222"'
{{- end }}
# The garbage collector tries harder before the container is killed for its memory.
- name: GOMEMLIMIT
  valueFrom:
    resourceFieldRef:
      resource: limits.memory
{{- end }}
