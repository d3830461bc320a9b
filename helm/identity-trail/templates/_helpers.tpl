{{- define "identity-trail.name" -}}
{{- contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "identity-trail.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "identity-trail.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "identity-trail.selector" . }}
{{- end }}

{{- define "identity-trail.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "identity-trail.name" .) }}
{{- end }}

{{- define "identity-trail.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* Not empty if callers speak TLS. */}}
{{- define "identity-trail.tls" -}}
{{- if or .Values.tls.secretName (dig "tls" "cert_file" "" .Values.config) }}yes{{ end }}
{{- end }}

{{- /* Not empty if callers are known by a token or a certificate. */}}
{{- define "identity-trail.auth" -}}
{{- $auth := .Values.config.auth | default dict }}
{{- if or $auth.jwt (hasKey $auth "mtls") }}yes{{ end }}
{{- end }}

{{- /* Refuses a file in the configuration where nothing is mounted: no process could open it. */}}
{{- define "identity-trail.checkFiles" -}}
{{- $config := include "identity-trail.config" . | fromYaml }}
{{- $mounts := list "/etc/identity-trail" }}
{{- if .Values.tls.secretName }}{{ $mounts = append $mounts "/etc/identity-trail-tls" }}{{ end }}
{{- if .Values.tls.clientCaConfigMap }}{{ $mounts = append $mounts "/etc/identity-trail-client-ca" }}{{ end }}
{{- if .Values.jwks.configMap }}{{ $mounts = append $mounts "/etc/identity-trail-jwks" }}{{ end }}
{{- range .Values.extraVolumeMounts }}{{ $mounts = append $mounts (trimSuffix "/" .mountPath) }}{{ end }}
{{- $files := dict
  "audit.to" (dig "audit" "to" "" $config)
  "auth.policies" (dig "auth" "policies" "" $config)
  "auth.jwt.jwks.file" (dig "auth" "jwt" "jwks" "file" "" $config)
  "auth.jwt.jwks.ca_file" (dig "auth" "jwt" "jwks" "ca_file" "" $config)
  "tls.cert_file" (dig "tls" "cert_file" "" $config)
  "tls.key_file" (dig "tls" "key_file" "" $config)
  "tls.client_ca_file" (dig "tls" "client_ca_file" "" $config)
}}
{{- range $key, $file := $files }}
{{- if not (has $file (list "" "stderr" "stdout")) }}
{{- $mounted := false }}
{{- range $mounts }}
{{- if or (eq $file .) (hasPrefix (printf "%s/" .) $file) }}{{ $mounted = true }}{{ end }}
{{- end }}
{{- if not $mounted }}
{{- fail (printf "config.%s: nothing is mounted at %s, and nothing there can be read or written: mount it with extraVolumes and extraVolumeMounts%s" $key $file (ternary ", or name a Secret in tls.secretName" "" (hasPrefix "tls." $key))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /*
How long a replica may take to end: see terminationGracePeriodSeconds in values.yaml. A length of time that Helm
cannot read counts as none; the service reads it all the same.
*/}}
{{- define "identity-trail.endingSeconds" -}}
{{- $shutdown := .Values.config.shutdown | default dict }}
{{- $from := toDate "2006-01-02" "2000-01-01" }}
{{- $end := $from | dateModify ($shutdown.delay | default "0s") | dateModify ($shutdown.grace | default "15s") }}
{{- add 5 (sub (unixEpoch $end) (unixEpoch $from)) 10 10 5 }}
{{- end }}

{{- /*
The service's configuration: what `config` says, but for what the chart decides. A rate is divided by the replicas, cut
to thousandths so that the shares never add up to more than the whole; `off` (which YAML may read as false) is for
sandboxes and has no shares.
*/}}
{{- define "identity-trail.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $_ := set $config "listen" (printf "%s:%d" .Values.listenAddress (int .Values.port)) }}
{{- if .Values.policies }}
{{- $_ := set $config "auth" (merge (dict "policies" "/etc/identity-trail") (default dict $config.auth)) }}
{{- end }}
{{- if .Values.tls.secretName }}
{{- $tls := dict "cert_file" "/etc/identity-trail-tls/tls.crt" "key_file" "/etc/identity-trail-tls/tls.key" }}
{{- if .Values.tls.clientCaConfigMap }}
{{- $_ := set $tls "client_ca_file" "/etc/identity-trail-client-ca/ca.crt" }}
{{- end }}
{{- $_ := set $config "tls" (merge $tls (get $config "tls" | default dict)) }}
{{- end }}
{{- if .Values.jwks.configMap }}
{{- $_ := set $config.auth.jwt "jwks" (dict "file" "/etc/identity-trail-jwks/jwks.json") }}
{{- end }}
{{- if .Values.metrics.enabled }}
{{- $telemetry := get $config "telemetry" | default dict }}
{{- $_ := set $telemetry "admin_listen" (printf "%s:%d" .Values.listenAddress (int .Values.metrics.port)) }}
{{- $_ := set $config "telemetry" $telemetry }}
{{- end }}
{{- range list (list "event_history" "requests_per_second") (list "limits" "filter_log_events_per_second") }}
{{- $section := get $config (first .) }}
{{- $rate := get $section (last .) }}
{{- if has (toString $rate) (list "off" "false") }}
{{- $_ := set $section (last .) "off" }}
{{- else }}
{{- $_ := set $section (last .) (divf (floor (divf (mulf 1000 $rate) $.Values.replicas)) 1000) }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}
