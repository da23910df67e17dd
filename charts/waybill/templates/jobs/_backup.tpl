{{/* The spec of a Job that dumps the database. */}}
{{- define "waybill.backupJob" -}}
backoffLimit: 2
activeDeadlineSeconds: 21600
ttlSecondsAfterFinished: 604800
template:
  metadata:
    labels:
      {{- include "waybill.podLabels" (list . "backup") | nindent 6 }}
  spec:
    {{- include "waybill.pod" (list . .Values.postgres.uid) | nindent 4 }}
    restartPolicy: Never
    containers:
      - name: dump
        image: {{ include "waybill.image" (list . .Values.postgres.image) }}
        imagePullPolicy: {{ .Values.postgres.image.pullPolicy }}
        command: [sh, /scripts/backup.sh]
        env:
          - name: KEEP
            value: {{ .Values.backup.keep | int | quote }}
          # The owner's: the service's role may not read everything.
          - name: DATABASE_URL
            valueFrom:
              secretKeyRef:
                name: {{ include "waybill.databaseSecret" . }}
                key: {{ default (include "waybill.urlKey" .) (include "waybill.migrateUrlKey" .) }}
        resources:
          {{- toYaml .Values.backup.resources | nindent 10 }}
        {{- include "waybill.container" . | nindent 8 }}
        volumeMounts:
          - name: dumps
            mountPath: /dumps
          - name: scripts
            mountPath: /scripts
            readOnly: true
          {{- /* The certificates that the URL names. */}}
          {{- with .Values.extraVolumeMounts }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
    volumes:
      - name: dumps
        persistentVolumeClaim:
          claimName: {{ include "waybill.fullname" . }}-backup
      - name: scripts
        configMap:
          name: {{ include "waybill.fullname" . }}-backup
      {{- with .Values.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}
