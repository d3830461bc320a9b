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
