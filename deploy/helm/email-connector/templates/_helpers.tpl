{{- define "connector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "connector.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "connector.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "connector.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "connector.selector" -}}
app.kubernetes.io/name: {{ include "connector.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "connector.labels" -}}
{{ include "connector.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "connector.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "connector.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "connector.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Not empty where the journal is on PostgreSQL: then replicas share it and no pod needs a volume. */}}
{{- define "connector.shared" -}}
{{- $state := get .Values.config "state" | default dict -}}
{{- if or (get $state "postgres") (and .Values.existingConfigMap (gt (int .Values.replicas) 1)) -}}true{{- end -}}
{{- end }}

{{/* Seconds until the pod is killed: more than the connector needs to end, which config.drain says. */}}
{{- define "connector.gracePeriod" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $drain := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|[smhd])" (get .Values.config "drain" | default "25s" | toString) -1 -}}
{{- $drain = addf $drain (mulf (regexFind "[0-9.]+" . | float64) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- if le (float64 .Values.terminationGracePeriodSeconds) $drain -}}
{{- fail (printf "terminationGracePeriodSeconds: expected more than config.drain (%s), got %v s" .Values.config.drain .Values.terminationGracePeriodSeconds) -}}
{{- end -}}
{{- .Values.terminationGracePeriodSeconds -}}
{{- end }}

{{/* What kubectl exec and port-forward take. */}}
{{- define "connector.target" -}}
{{- if include "connector.shared" . }}deploy/{{ include "connector.fullname" . }}{{ else }}{{ include "connector.fullname" . }}-0{{ end -}}
{{- end }}

{{/* Not empty where the listener of response actions serves callers: config.actions is there and its listen is not null. */}}
{{- define "connector.actions" -}}
{{- $actions := get .Values.config "actions" -}}
{{- if kindIs "map" $actions -}}
{{- if not (and (hasKey $actions "listen") (kindIs "invalid" (get $actions "listen"))) -}}true{{- end -}}
{{- else if and .Values.existingConfigMap .Values.actions.enabled -}}true{{- end -}}
{{- end }}

{{- define "connector.secret" -}}
{{- if .Values.secrets.existingSecret }}
{{- .Values.secrets.existingSecret }}
{{- else if .Values.secrets.values }}
{{- include "connector.fullname" . }}
{{- end }}
{{- end }}

{{- /* The configuration as the connector gets it: mappings and certificate are where the chart puts them. */}}
{{- define "connector.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if .Values.mappings }}
{{- $_ := set $config "mappings" (dict "directory" "/etc/email-connector/mappings") }}
{{- end }}
{{- if and (include "connector.actions" .) .Values.actions.tlsSecret $config.actions }}
{{- $files := "/run/secrets/email-connector-actions" }}
{{- $tls := dict "cert_file" (printf "%s/tls.crt" $files) "key_file" (printf "%s/tls.key" $files) }}
{{- if .Values.actions.clientCertificates }}
{{- $_ := set $tls "client_ca_file" (printf "%s/ca.crt" $files) }}
{{- end }}
{{- $_ := set $config.actions "tls" (merge $tls (get $config.actions "tls" | default dict)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* A probe over HTTP, or over HTTPS if config.server.tls makes the endpoint serve that. */}}
{{- define "connector.httpProbe" -}}
{{- $probe := deepCopy .probe -}}
{{- $server := get .config "server" | default dict -}}
{{- if and (get $probe "httpGet") (get $server "tls") -}}
{{- $_ := set $probe.httpGet "scheme" "HTTPS" -}}
{{- end -}}
{{- toYaml $probe }}
{{- end }}
