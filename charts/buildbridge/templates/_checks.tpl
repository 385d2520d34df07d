{{/*
What values.schema.json cannot say, or not as clearly: combinations that lose data, start builds twice, show a secret
or do not do what they seem to. Everything the chart renders begins with it.
*/}}
{{- define "buildbridge.checks" -}}
{{- with .Values -}}

{{- if eq .database.type "sqlite" -}}
  {{- if gt (int .replicas) 1 -}}
    {{- fail "replicas: a SQLite database belongs to one pod; two would each have their own and start builds twice. Set database.type to postgres, or replicas to 1." -}}
  {{- end -}}
  {{- if .autoscaling.enabled -}}
    {{- fail "autoscaling.enabled: a SQLite database belongs to one pod. Set database.type to postgres, or leave autoscaling off." -}}
  {{- end -}}
  {{- if or .database.url .database.urlSecret.name .database.passwordSecret.name -}}
    {{- fail "database: url, urlSecret and passwordSecret are for PostgreSQL. Set database.type to postgres too." -}}
  {{- end -}}
  {{- if and .persistence.ephemeral .persistence.existingClaim -}}
    {{- fail "persistence: ephemeral and existingClaim exclude each other: with ephemeral, all is lost with the pod." -}}
  {{- end -}}
{{- else -}}
  {{- if or .persistence.ephemeral .persistence.existingClaim -}}
    {{- fail "persistence: is for a SQLite database. With database.type postgres nothing is kept on a volume." -}}
  {{- end -}}
  {{- if .backup.enabled -}}
    {{- fail "backup.enabled: is for a SQLite database. Back up PostgreSQL by its own means: pg_dump, base backups, or those of its operator." -}}
  {{- end -}}
  {{- if and .database.url .database.urlSecret.name -}}
    {{- fail "database: url and urlSecret exclude each other." -}}
  {{- end -}}
  {{- if not (or .database.url .database.urlSecret.name) -}}
    {{- fail "database: where is the PostgreSQL? Set database.url (without a password), or database.urlSecret.name." -}}
  {{- end -}}
  {{- if or (regexMatch "^[^/]*//[^/?]*:[^/?]*@" .database.url) (regexMatch "[?&](ssl)?password=" .database.url) -}}
    {{- fail "database.url: holds a password, which would be readable in the pod's description. Put it into a Secret: database.passwordSecret.name, or the whole URL by database.urlSecret.name." -}}
  {{- end -}}
  {{- if and .database.passwordSecret.name .database.urlSecret.name -}}
    {{- fail "database: passwordSecret goes with url; the URL of urlSecret holds its password." -}}
  {{- end -}}
  {{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
    {{- fail "autoscaling: minReplicas is more than maxReplicas." -}}
  {{- end -}}
  {{- if and .autoscaling.enabled (eq (int .replicas) 0) -}}
    {{- fail "replicas: 0 stops nothing while autoscaling is on, which decides how many there are. Set autoscaling.enabled to false for that time." -}}
  {{- end -}}
{{- end -}}

{{- if and .backup.enabled (not .admin.writeTokenKey) -}}
  {{- fail "backup.enabled: a backup needs a token that may do everything. Set admin.writeTokenKey." -}}
{{- end -}}
{{- if and .backup.enabled .persistence.ephemeral -}}
  {{- fail "backup.enabled: with persistence.ephemeral nothing is worth a backup. Leave one of them off." -}}
{{- end -}}
{{- range $name, $_ := .admin.tokens -}}
  {{- if not (regexMatch "^[A-Za-z0-9][-._A-Za-z0-9]{0,62}$" $name) -}}
    {{- fail (printf "admin.tokens: %s cannot be a name: letters, digits, -, _ and . alone, since a key of the Secret is named by it." $name) -}}
  {{- end -}}
  {{- if has $name (list $.Values.admin.readTokenKey $.Values.admin.writeTokenKey (include "buildbridge.pagesKey" $) "admin-read-token" "admin-write-token" "pages-token" "local") -}}
    {{- fail (printf "admin.tokens: %s is the name of another token. Choose another." $name) -}}
  {{- end -}}
{{- end -}}

{{- with .pages -}}
  {{- if and .enabled (not .open) (not .tokenKey) -}}
    {{- fail "pages: who may read them? Name the key of a token by pages.tokenKey, or set pages.open to true for everybody who reaches the port." -}}
  {{- end -}}
  {{- if has (include "buildbridge.pagesKey" $ | default "none of them") (list $.Values.admin.readTokenKey $.Values.admin.writeTokenKey) -}}
    {{- fail (printf "pages.tokenKey: %s opens the admin API too. Everybody who reads the pages is given this token: name another key." .tokenKey) -}}
  {{- end -}}
  {{- range $kind := list "ingress" "httpRoute" -}}
    {{- if and (index $.Values.pages $kind "enabled") (not $.Values.pages.enabled) -}}
      {{- fail (printf "pages.%s.enabled: it would lead to a port that is closed. Set pages.enabled too." $kind) -}}
    {{- end -}}
  {{- end -}}
  {{- if and .ingress.enabled (not .ingress.hosts) -}}
    {{- fail "pages.ingress.hosts: name at least one host." -}}
  {{- end -}}
  {{- if and .httpRoute.enabled (not .httpRoute.parentRefs) -}}
    {{- fail "pages.httpRoute.parentRefs: name at least one Gateway." -}}
  {{- end -}}
{{- end -}}

{{- $rules := 0 -}}
{{- range list .rules.files .rules.existingConfigMap .rules.volume -}}{{- if . -}}{{- $rules = add1 $rules -}}{{- end -}}{{- end -}}
{{- if gt (int $rules) 1 -}}
  {{- fail "rules: files, existingConfigMap and volume exclude each other." -}}
{{- end -}}
{{- range $name, $content := .rules.files -}}
  {{- if not (regexMatch "^[A-Za-z0-9_][-._A-Za-z0-9]*\\.ya?ml$" $name) -}}
    {{- fail (printf "rules.files: %s would not be read: the name of a file ends in .yaml or .yml. On the command line its dot has a backslash: --set-file 'rules.files.rules\\.yaml=rules.yaml'. It has letters, digits, -, _ and ., and does not begin with - or a dot." $name) -}}
  {{- end -}}
  {{- if regexMatch "\\.test\\.ya?ml$" $name -}}
    {{- fail (printf "rules.files: %s would not be read: a file of this name has tests of rules, which buildbridge test runs. Leave it out." $name) -}}
  {{- end -}}
  {{- if and (kindIs "map" $content) (not (hasKey $content "version")) -}}
    {{- fail (printf "rules.files: %s has no version. It begins with version: 1." $name) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $_ := .secrets.existingFiles -}}
  {{- if has $name (list "buildbridge" "files") -}}
    {{- fail (printf "secrets.existingFiles: %s is a folder of the chart's own. Choose another name." $name) -}}
  {{- end -}}
  {{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$" $name) -}}
    {{- fail (printf "secrets.existingFiles: %s cannot be a folder: small letters, digits and - alone, at most 52, since a volume is named by it." $name) -}}
  {{- end -}}
{{- end -}}
{{- if and $.Release.IsUpgrade (eq (int $rules) 0) -}}
  {{- $live := lookup "v1" "ConfigMap" $.Release.Namespace (printf "%s-rules" (include "buildbridge.fullname" $)) -}}
  {{- range dig "data" dict $live -}}
    {{- if omit (fromYaml .) "version" -}}
      {{- fail "rules: the release has rules and these values have none. Give --set-file again, or keep them in your values." -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and .rules.restartOnChange (or .rules.existingConfigMap .rules.volume) -}}
  {{- fail "rules.restartOnChange: the chart does not see when a ConfigMap or a volume of yours changes; it works with rules.files." -}}
{{- end -}}

{{- range .extraArgs -}}
  {{- if regexMatch "^--(rules|database|listen|admin-listen|admin-read-token|admin-write-token|admin-token|pages-listen|pages-open|external-url|trace-url|dashboard-url|grace|hold|keep-ignored)(=|$)" . -}}
    {{- fail (printf "extraArgs: %s is set by the chart; the pod depends on it. Use the value of that name." (splitList "=" . | first)) -}}
  {{- end -}}
  {{- if hasPrefix "--admin-tls-" . -}}
    {{- fail "extraArgs: probes, scraping and helm test speak HTTP to the admin port. Keep it inside by networkPolicy instead of --admin-tls-cert." -}}
  {{- end -}}
{{- end -}}
{{- range .extraEnv -}}
  {{- if has .name (list "BUILDBRIDGE_RULES" "BUILDBRIDGE_DATABASE" "BUILDBRIDGE_ADMIN_TOKEN") -}}
    {{- fail (printf "extraEnv: %s is set by the chart; the pod depends on it. Use the values rules, database and admin." .name) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $_ := .secrets.env -}}
  {{- if has $name (list "BUILDBRIDGE_RULES" "BUILDBRIDGE_DATABASE" "BUILDBRIDGE_ADMIN_TOKEN") -}}
    {{- fail (printf "secrets.env: %s is set by the chart; the pod depends on it. Use the values rules, database and admin." $name) -}}
  {{- end -}}
{{- end -}}

{{- if and .serviceMonitor.enabled .podMonitor.enabled -}}
  {{- fail "serviceMonitor and podMonitor: enable one of them; both would count everything twice." -}}
{{- end -}}
{{- if and .service.externalTrafficPolicy (eq .service.type "ClusterIP") -}}
  {{- fail "service.externalTrafficPolicy: a ClusterIP has no traffic from outside. Set service.type to NodePort or LoadBalancer, or leave it empty." -}}
{{- end -}}
{{- if and .ingress.enabled (not .ingress.hosts) -}}
  {{- fail "ingress.hosts: name at least one host." -}}
{{- end -}}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) -}}
  {{- fail "httpRoute.parentRefs: name at least one Gateway." -}}
{{- end -}}

{{- end -}}
{{- end -}}
