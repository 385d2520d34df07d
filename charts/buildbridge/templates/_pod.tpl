{{/* The pod of the StatefulSet and of the Deployment. */}}
{{- define "buildbridge.pod" -}}
{{- $fullname := include "buildbridge.fullname" . -}}
{{- $postgres := eq .Values.database.type "postgres" -}}
{{- /* Time for load balancers to notice that a pod stops. Not needed if no other pod can take the delivery. */ -}}
{{- $drain := ternary 5 0 $postgres -}}
metadata:
  {{- /* Without the chart's version, which would restart the pods. */}}
  labels: {{- toYaml (mergeOverwrite (include "buildbridge.selector" . | fromYaml) .Values.commonLabels .Values.podLabels) | nindent 4 }}
  {{- $annotations := dict "kubectl.kubernetes.io/default-container" "buildbridge" }}
  {{- /* What the bridge reads at its start only. It reads rules and files again when they change. */ -}}
  {{- with .Values.secrets.env }}
  {{- $_ := set $annotations "checksum/secrets" (toJson . | sha256sum) }}
  {{- end }}
  {{- if .Values.rules.restartOnChange }}
  {{- $_ := set $annotations "checksum/rules" (include "buildbridge.rulesFiles" . | sha256sum) }}
  {{- end }}
  annotations: {{- toYaml (mergeOverwrite $annotations .Values.podAnnotations) | nindent 4 }}
spec:
  serviceAccountName: {{ include "buildbridge.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.grace $drain 5 }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $postgres .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- $selector := dict "matchLabels" (include "buildbridge.selector" . | fromYaml) }}
    {{- range .Values.topologySpreadConstraints }}
    - {{- toYaml (merge (deepCopy .) (ternary dict (dict "labelSelector" $selector) (hasKey . "labelSelector"))) | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - name: buildbridge
      image: {{ include "buildbridge.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext: {{- toYaml .Values.securityContext | nindent 8 }}
      args:
        - serve
        - --listen=:8080
        - --admin-listen=:8081
        - --grace={{ .Values.grace }}s
        - --max-body-memory={{ .Values.maxBodyMemory }}
        - --log-level={{ .Values.logLevel }}
        - --log-format={{ .Values.logFormat }}
        {{- with .Values.admin.readTokenKey }}
        - --admin-read-token=file:/etc/buildbridge/admin/{{ . }}
        {{- end }}
        {{- with .Values.admin.writeTokenKey }}
        - --admin-write-token=file:/etc/buildbridge/admin/{{ . }}
        {{- end }}
        {{- range $name, $role := .Values.admin.tokens }}
        - --admin-token={{ $name }}={{ $role }}:file:/etc/buildbridge/admin/{{ $name }}
        {{- end }}
        {{- if .Values.pages.enabled }}
        - --pages-listen=:8082
        {{- if .Values.pages.open }}
        - --pages-open
        {{- else }}
        - --pages-token=file:/etc/buildbridge/admin/{{ .Values.pages.tokenKey }}
        {{- end }}
        {{- end }}
        {{- with .Values.externalURL }}
        - --external-url={{ . }}
        {{- end }}
        {{- with .Values.traceURL }}
        - --trace-url={{ . }}
        {{- end }}
        {{- with .Values.dashboardURL }}
        - --dashboard-url={{ . }}
        {{- end }}
        {{- range .Values.trustedProxies }}
        - --trusted-proxies={{ . }}
        {{- end }}
        {{- if .Values.dryRun }}
        - --dry-run
        {{- end }}
        {{- if .Values.hold }}
        - --hold
        {{- end }}
        - --keep-ignored={{ .Values.keepIgnored }}
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        # Variables, so that `kubectl exec … buildbridge builds list` finds them too.
        - name: BUILDBRIDGE_RULES
          value: /etc/buildbridge/rules
            {{- range $team, $_ := .Values.rules.teams }},/etc/buildbridge/teams/{{ $team }}=/etc/buildbridge/fences/{{ $team }}.yaml{{ end }}
        - name: BUILDBRIDGE_DATABASE
          {{- if not $postgres }}
          value: /data/buildbridge.db
          {{- else if .Values.database.url }}
          value: {{ .Values.database.url | quote }}
          {{- else }}
          valueFrom:
            secretKeyRef: {{- toYaml .Values.database.urlSecret | nindent 14 }}
          {{- end }}
        {{- if .Values.database.passwordSecret.name }}
        - name: PGPASSWORD
          valueFrom:
            secretKeyRef: {{- toYaml .Values.database.passwordSecret | nindent 14 }}
        {{- end }}
        {{- with coalesce .Values.admin.writeTokenKey .Values.admin.readTokenKey }}
        - name: BUILDBRIDGE_ADMIN_TOKEN
          value: file:/etc/buildbridge/admin/{{ . }}
        {{- end }}
        {{- range $name, $_ := .Values.secrets.env }}
        - name: {{ $name }}
          valueFrom:
            secretKeyRef: {name: {{ $fullname }}-env, key: {{ $name }}}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or .Values.secrets.existingEnv .Values.extraEnvFrom }}
      envFrom:
        {{- range .Values.secrets.existingEnv }}
        - secretRef: {name: {{ . }}}
        {{- end }}
        {{- with .Values.extraEnvFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: admin, containerPort: 8081}
        {{- if .Values.pages.enabled }}
        - {name: pages, containerPort: 8082}
        {{- end }}
      startupProbe: {{- toYaml (merge (dict "httpGet" (dict "path" "/healthz" "port" "admin")) .Values.startupProbe) | nindent 8 }}
      livenessProbe: {{- toYaml (merge (dict "httpGet" (dict "path" "/healthz" "port" "admin")) .Values.livenessProbe) | nindent 8 }}
      readinessProbe: {{- toYaml (merge (dict "httpGet" (dict "path" "/readyz" "port" "admin")) .Values.readinessProbe) | nindent 8 }}
      {{- if $drain }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ $drain }}}
      {{- end }}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: rules, mountPath: /etc/buildbridge/rules, readOnly: true}
        {{- if .Values.rules.teams }}
        - {name: fences, mountPath: /etc/buildbridge/fences, readOnly: true}
        {{- end }}
        {{- range $team, $_ := .Values.rules.teams }}
        - {name: team-{{ $team }}, mountPath: /etc/buildbridge/teams/{{ $team }}, readOnly: true}
        {{- end }}
        {{- if include "buildbridge.adminKeys" . }}
        - {name: admin, mountPath: /etc/buildbridge/admin, readOnly: true}
        {{- end }}
        {{- if not $postgres }}
        - {name: data, mountPath: /data}
        {{- end }}
        {{- if .Values.secrets.files }}
        - {name: secret-files, mountPath: /run/secrets/buildbridge, readOnly: true}
        {{- end }}
        {{- range $folder, $_ := .Values.secrets.existingFiles }}
        - {name: secret-{{ $folder }}, mountPath: /run/secrets/{{ $folder }}, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: rules
      {{- include "buildbridge.rulesVolume" . | nindent 6 }}
    {{- if .Values.rules.teams }}
    - name: fences
      configMap: {name: {{ $fullname }}-fences}
    {{- end }}
    {{- range $team, $rules := .Values.rules.teams }}
    - name: team-{{ $team }}
      configMap: {name: {{ $rules.configMap }}}
    {{- end }}
    {{- if include "buildbridge.adminKeys" . }}
    - name: admin
      secret: {secretName: {{ include "buildbridge.adminSecretName" . }}, defaultMode: 0440}
    {{- end }}
    {{- if not $postgres }}
    - name: data
      {{- if .Values.persistence.ephemeral }}
      emptyDir: {sizeLimit: {{ .Values.persistence.size }}}
      {{- else }}
      persistentVolumeClaim:
        claimName: {{ default (printf "%s-data" $fullname) .Values.persistence.existingClaim }}
      {{- end }}
    {{- end }}
    {{- if .Values.secrets.files }}
    - name: secret-files
      secret: {secretName: {{ $fullname }}-files, defaultMode: 0440}
    {{- end }}
    {{- range $folder, $secret := .Values.secrets.existingFiles }}
    - name: secret-{{ $folder }}
      secret: {secretName: {{ $secret }}, defaultMode: 0440}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
