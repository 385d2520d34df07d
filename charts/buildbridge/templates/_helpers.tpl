{{- define "buildbridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of all objects; 50 characters leave room for what is appended. */}}
{{- define "buildbridge.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods. It never changes, because the selector of a Deployment cannot. */}}
{{- define "buildbridge.selector" -}}
app.kubernetes.io/name: {{ include "buildbridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: bridge
{{- end -}}

{{/* Labels of an object: (list $ "its component" its own labels…). */}}
{{- define "buildbridge.labels" -}}
{{- $root := first . -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (include "buildbridge.name" $root)
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/component" (index . 1)
  "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- /* The version of the image in use. A digest does not tell it, and not every tag can be a label. */ -}}
{{- $version := default (ternary "" $root.Chart.AppVersion (ne $root.Values.image.digest "")) $root.Values.image.tag -}}
{{- if regexMatch "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$" $version -}}
{{- $_ := set $labels "app.kubernetes.io/version" $version -}}
{{- end -}}
{{- range prepend (rest (rest .)) $root.Values.commonLabels }}{{ $labels = mergeOverwrite $labels . }}{{ end -}}
{{- toYaml $labels -}}
{{- end -}}

{{- define "buildbridge.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "buildbridge.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "buildbridge.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "buildbridge.adminSecretName" -}}
{{ default (printf "%s-admin" (include "buildbridge.fullname" .)) .Values.admin.existingSecret }}
{{- end -}}

{{/* The key of the token of the pages' own port, empty if there is no such port or it needs no token. */}}
{{- define "buildbridge.pagesKey" -}}
{{- with .Values.pages -}}
{{- if and .enabled (not .open) }}{{ .tokenKey }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The keys of the Secret with the tokens of the admin API and of the pages, one a line. */}}
{{- define "buildbridge.adminKeys" -}}
{{- with .Values.admin -}}
{{- concat (list .readTokenKey .writeTokenKey) (keys .tokens | sortAlpha) (list (include "buildbridge.pagesKey" $)) | compact | uniq | join "\n" -}}
{{- end -}}
{{- end -}}

{{/* The address of the pages, with a slash at its end. */}}
{{- define "buildbridge.externalURL" -}}
{{ trimSuffix "/" .Values.externalURL }}/
{{- end -}}

{{/* The rules files that the chart makes: from a name to text. */}}
{{- define "buildbridge.rulesFiles" -}}
{{- $files := dict -}}
{{- range $name, $content := .Values.rules.files -}}
{{- $_ := set $files $name (ternary $content (toYaml $content) (kindIs "string" $content)) -}}
{{- end -}}
{{- toYaml (default (dict "rules.yaml" "# Nobody is let in and nothing is built: set rules.files of the chart.\nversion: 1\n") $files) -}}
{{- end -}}

{{/* The volume that holds the rules, without its name. It is mounted as a whole, because a subPath never changes. */}}
{{- define "buildbridge.rulesVolume" -}}
{{- if .Values.rules.volume -}}
{{ toYaml .Values.rules.volume }}
{{- else -}}
configMap:
  name: {{ default (printf "%s-rules" (include "buildbridge.fullname" .)) .Values.rules.existingConfigMap }}
{{- end -}}
{{- end -}}

{{/*
One endpoint of a ServiceMonitor or PodMonitor: (list $ "its values"). The job is another for each release, since alerts
count by it, and has the word that they and the dashboards look for.
*/}}
{{- define "buildbridge.scrape" -}}
{{- $job := include "buildbridge.fullname" (first .) -}}
{{- $job = ternary $job (printf "buildbridge-%s" $job) (contains "buildbridge" $job) -}}
{{- with last . -}}
port: admin
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
relabelings:
  - {targetLabel: job, replacement: {{ $job }}}
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .metricRelabelings }}
metricRelabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
{{- end -}}
