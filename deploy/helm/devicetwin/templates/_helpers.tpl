{{- define "devicetwin.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* Labels that never change: selectors use them. Call with (list . "part"). */}}
{{- define "devicetwin.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "devicetwin.labels" -}}
{{- $root := index . 0 -}}
{{ include "devicetwin.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "devicetwin.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "devicetwin.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "devicetwin.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}

{{/* What each pod is, besides its containers and volumes. */}}
{{- define "devicetwin.pod" -}}
serviceAccountName: {{ include "devicetwin.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "devicetwin.container" -}}
image: {{ include "devicetwin.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "devicetwin.probes" -}}
ports:
  - {name: metrics, containerPort: 8090}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 6
{{- end -}}

{{- define "devicetwin.env.temporal" -}}
- {name: DEVICETWIN_LOG_LEVEL, value: {{ .Values.log.level | quote }}}
- {name: DEVICETWIN_LOG_FORMAT, value: {{ .Values.log.format | quote }}}
- {name: DEVICETWIN_TEMPORAL_ADDRESS, value: {{ .Values.temporal.address | quote }}}
- {name: DEVICETWIN_TEMPORAL_NAMESPACE, value: {{ .Values.temporal.namespace | quote }}}
{{- if .Values.temporal.apiKey.secret }}
- {name: DEVICETWIN_TEMPORAL_API_KEY_FILE, value: /run/secrets/temporal-api-key/key}
{{- end }}
{{- if .Values.temporal.keys.secret }}
- {name: DEVICETWIN_TEMPORAL_KEYS, value: /run/secrets/temporal-keys/keys}
{{- end }}
{{- if .Values.temporal.tls.enabled }}
- {name: DEVICETWIN_TEMPORAL_TLS, value: "true"}
{{- end }}
{{- if .Values.temporal.tls.secret }}
- {name: DEVICETWIN_TEMPORAL_CA_FILE, value: /run/secrets/temporal-tls/ca.crt}
{{- if .Values.temporal.tls.clientCertificate }}
- {name: DEVICETWIN_TEMPORAL_CERT_FILE, value: /run/secrets/temporal-tls/tls.crt}
- {name: DEVICETWIN_TEMPORAL_KEY_FILE, value: /run/secrets/temporal-tls/tls.key}
{{- end }}
{{- end }}
{{- with .Values.temporal.tls.serverName }}
- {name: DEVICETWIN_TEMPORAL_SERVER_NAME, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "devicetwin.env.process" -}}
- {name: DEVICETWIN_TEMPORAL_TASK_QUEUE, value: {{ .Values.temporal.taskQueue | quote }}}
- {name: DEVICETWIN_HTTP_LISTEN, value: ":8090"}
{{- end -}}

{{/* Settings of bridge and worker. */}}
{{- define "devicetwin.env" -}}
{{ include "devicetwin.env.temporal" . }}
{{ include "devicetwin.env.process" . }}
- {name: DEVICETWIN_MQTT_URL, value: {{ join "," .Values.mqtt.urls | quote }}}
- {name: DEVICETWIN_MQTT_TOPIC_PREFIX, value: {{ .Values.mqtt.topicPrefix | quote }}}
{{- if .Values.mqtt.secret.name }}
- {name: DEVICETWIN_MQTT_PASSWORD_FILE, value: /run/secrets/mqtt/password}
{{- end }}
{{- if .Values.mqtt.tls.secret }}
- {name: DEVICETWIN_MQTT_CA_FILE, value: /run/secrets/mqtt-tls/ca.crt}
{{- if .Values.mqtt.tls.clientCertificate }}
- {name: DEVICETWIN_MQTT_CERT_FILE, value: /run/secrets/mqtt-tls/tls.crt}
- {name: DEVICETWIN_MQTT_KEY_FILE, value: /run/secrets/mqtt-tls/tls.key}
{{- end }}
{{- end }}
{{ include "devicetwin.env.entities" . }}
{{- end -}}

{{/* Where points go, and which entities run what: of all that read or run models. */}}
{{- define "devicetwin.env.entities" -}}
- {name: DEVICETWIN_INFLUX_URL, value: {{ .Values.influxdb.url | quote }}}
{{- if .Values.influxdb.url }}
- {name: DEVICETWIN_INFLUX_ORG, value: {{ .Values.influxdb.org | quote }}}
- {name: DEVICETWIN_INFLUX_BUCKET, value: {{ .Values.influxdb.bucket | quote }}}
{{- if .Values.influxdb.token.secret }}
- {name: DEVICETWIN_INFLUX_TOKEN_FILE, value: /run/secrets/influxdb/token}
{{- end }}
{{- end }}
- {name: DEVICETWIN_MODEL, value: {{ printf "/etc/devicetwin/models/%s" .Values.models.default | quote }}}
{{- if or .Values.models.files .Values.models.configMap }}
- {name: DEVICETWIN_MODELS, value: /etc/devicetwin/models}
{{- end }}
{{- if .Values.models.registry }}
- {name: DEVICETWIN_MODEL_REGISTRY, value: "true"}
{{- end }}
{{- include "devicetwin.env.kinds" . }}
{{- end -}}

{{- define "devicetwin.env.kinds" -}}
{{- if .Values.kinds }}
- {name: DEVICETWIN_KINDS, value: /etc/devicetwin/kinds/kinds.yaml}
{{- end }}
{{- end -}}

{{- define "devicetwin.mounts.kinds" -}}
{{- if .Values.kinds }}
- {name: kinds, mountPath: /etc/devicetwin/kinds, readOnly: true}
{{- end }}
{{- end -}}

{{- define "devicetwin.volumes.kinds" -}}
{{- if .Values.kinds }}
- name: kinds
  configMap: {name: {{ include "devicetwin.name" . }}-kinds}
{{- end }}
{{- end -}}

{{- define "devicetwin.mounts.temporal" -}}
{{- if .Values.temporal.apiKey.secret }}
- {name: temporal-api-key, mountPath: /run/secrets/temporal-api-key, readOnly: true}
{{- end }}
{{- if .Values.temporal.keys.secret }}
- {name: temporal-keys, mountPath: /run/secrets/temporal-keys, readOnly: true}
{{- end }}
{{- if .Values.temporal.tls.secret }}
- {name: temporal-tls, mountPath: /run/secrets/temporal-tls, readOnly: true}
{{- end }}
{{- end -}}

{{/* The settings of a log. Call with (list . "bridge"); the worker's are named alike. */}}
{{- define "devicetwin.env.log" -}}
{{- $part := index . 1 -}}
{{- $log := (index (index . 0).Values $part).log -}}
{{- $unit := get (dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) (regexFind "[KMGT]i$" $log.size) | int64 -}}
{{- $room := div (mul 9 $unit (regexFind "^[0-9]+" $log.size | int64)) 10 -}}
{{- if gt (int64 $log.maxBytes) $room -}}
{{- fail (printf "%s.log.maxBytes: expected at most nine tenths of %s.log.size, which is %d" $part $part $room) -}}
{{- end -}}
- {name: DEVICETWIN_{{ upper $part }}_LOG, value: /var/lib/devicetwin/{{ $part }}-log}
- {name: DEVICETWIN_{{ upper $part }}_LOG_MAX, value: {{ $log.maxBytes | int64 | quote }}}
- {name: DEVICETWIN_{{ upper $part }}_LOG_AGE, value: {{ $log.age | quote }}}
{{- end -}}

{{/* The claim of a log's volume. Call with (list NAME .Values.bridge.log). */}}
{{- define "devicetwin.claim.log" -}}
{{- $log := index . 1 -}}
- metadata: {name: {{ index . 0 }}}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with $log.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources: {requests: {storage: {{ $log.size }}}}
{{- end -}}

{{- define "devicetwin.mounts" -}}
{{ include "devicetwin.mounts.temporal" . }}
{{- if .Values.mqtt.secret.name }}
- {name: mqtt, mountPath: /run/secrets/mqtt, readOnly: true}
{{- end }}
{{- if .Values.mqtt.tls.secret }}
- {name: mqtt-tls, mountPath: /run/secrets/mqtt-tls, readOnly: true}
{{- end }}
{{- include "devicetwin.mounts.entities" . }}
{{- end -}}

{{- define "devicetwin.mounts.entities" -}}
{{- if and .Values.influxdb.url .Values.influxdb.token.secret }}
- {name: influxdb, mountPath: /run/secrets/influxdb, readOnly: true}
{{- end }}
{{- if or .Values.models.files .Values.models.configMap }}
- {name: models, mountPath: /etc/devicetwin/models, readOnly: true}
{{- end }}
{{- include "devicetwin.mounts.kinds" . }}
{{- end -}}

{{- define "devicetwin.volumes.temporal" -}}
{{- if .Values.temporal.apiKey.secret }}
- name: temporal-api-key
  secret:
    secretName: {{ .Values.temporal.apiKey.secret }}
    defaultMode: 0440
    items: [{key: {{ .Values.temporal.apiKey.key | quote }}, path: key}]
{{- end }}
{{- if .Values.temporal.keys.secret }}
- name: temporal-keys
  secret:
    secretName: {{ .Values.temporal.keys.secret }}
    defaultMode: 0440
    items: [{key: {{ .Values.temporal.keys.key | quote }}, path: keys}]
{{- end }}
{{- if .Values.temporal.tls.secret }}
- name: temporal-tls
  secret: {secretName: {{ .Values.temporal.tls.secret }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* Volumes of bridge or worker. Call with (list . KEY), the key of its MQTT password. */}}
{{- define "devicetwin.volumes" -}}
{{- $key := index . 1 -}}
{{- with index . 0 -}}
{{ include "devicetwin.volumes.temporal" . }}
{{- if .Values.mqtt.secret.name }}
- name: mqtt
  secret:
    secretName: {{ .Values.mqtt.secret.name }}
    defaultMode: 0440
    items: [{key: {{ $key | quote }}, path: password}]
{{- end }}
{{- if .Values.mqtt.tls.secret }}
- name: mqtt-tls
  secret: {secretName: {{ .Values.mqtt.tls.secret }}, defaultMode: 0440}
{{- end }}
{{- include "devicetwin.volumes.entities" . }}
{{- end -}}
{{- end -}}

{{- define "devicetwin.volumes.entities" -}}
{{- if and .Values.influxdb.url .Values.influxdb.token.secret }}
- name: influxdb
  secret:
    secretName: {{ .Values.influxdb.token.secret }}
    defaultMode: 0440
    items: [{key: {{ .Values.influxdb.token.key | quote }}, path: token}]
{{- end }}
{{- if or .Values.models.files .Values.models.configMap }}
- name: models
  configMap: {name: {{ .Values.models.configMap | default (printf "%s-models" (include "devicetwin.name" .)) }}}
{{- end }}
{{- include "devicetwin.volumes.kinds" . }}
{{- end -}}

{{- define "devicetwin.mounts.api" -}}
{{ include "devicetwin.mounts.temporal" . }}
{{- if .Values.api.tokens.secret }}
- {name: api, mountPath: /run/secrets/api, readOnly: true}
{{- end }}
{{- include "devicetwin.mounts.kinds" . }}
{{- end -}}

{{- define "devicetwin.volumes.api" -}}
{{ include "devicetwin.volumes.temporal" . }}
{{- if .Values.api.tokens.secret }}
- name: api
  secret:
    secretName: {{ .Values.api.tokens.secret }}
    defaultMode: 0440
    items: [{key: {{ .Values.api.tokens.key | quote }}, path: tokens}]
{{- end }}
{{- include "devicetwin.volumes.kinds" . }}
{{- end -}}

{{/* A change of the models or kinds restarts the pods, which read them at startup only. */}}
{{- define "devicetwin.annotations" -}}
{{- if .Values.models.files }}
checksum/models: {{ toJson .Values.models.files | sha256sum }}
{{- end }}
{{- include "devicetwin.annotations.api" . }}
{{- end -}}

{{- define "devicetwin.annotations.api" -}}
{{- if .Values.kinds }}
checksum/kinds: {{ .Values.kinds | sha256sum }}
{{- end }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* How the brokers of Kafka are reached. */}}
{{- define "devicetwin.env.kafka" -}}
{{- with .Values.kafka -}}
{{- if not .brokers -}}
{{- fail "kafka.brokers: expected the addresses of some of the brokers" -}}
{{- end -}}
{{- if and (ne .sasl.mechanism "none") (not .sasl.secret) -}}
{{- fail "kafka.sasl.secret: expected a Secret for the mechanism" -}}
{{- end -}}
- {name: DEVICETWIN_KAFKA_BROKERS, value: {{ join "," .brokers | quote }}}
{{- if .tls.enabled }}
- {name: DEVICETWIN_KAFKA_TLS, value: "true"}
{{- end }}
{{- if .tls.secret }}
- {name: DEVICETWIN_KAFKA_CA_FILE, value: /run/secrets/kafka-tls/ca.crt}
{{- if .tls.clientCertificate }}
- {name: DEVICETWIN_KAFKA_CERT_FILE, value: /run/secrets/kafka-tls/tls.crt}
- {name: DEVICETWIN_KAFKA_KEY_FILE, value: /run/secrets/kafka-tls/tls.key}
{{- end }}
{{- end }}
{{- if ne .sasl.mechanism "none" }}
- {name: DEVICETWIN_KAFKA_SASL, value: {{ .sasl.mechanism }}}
{{- if eq .sasl.mechanism "OAUTHBEARER" }}
- {name: DEVICETWIN_KAFKA_TOKEN_FILE, value: /run/secrets/kafka/secret}
{{- else }}
- {name: DEVICETWIN_KAFKA_USERNAME, value: {{ .sasl.username | quote }}}
- {name: DEVICETWIN_KAFKA_PASSWORD_FILE, value: /run/secrets/kafka/secret}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "devicetwin.mounts.kafka" -}}
{{- if .Values.kafka.tls.secret }}
- {name: kafka-tls, mountPath: /run/secrets/kafka-tls, readOnly: true}
{{- end }}
{{- if ne .Values.kafka.sasl.mechanism "none" }}
- {name: kafka, mountPath: /run/secrets/kafka, readOnly: true}
{{- end }}
{{- end -}}

{{- define "devicetwin.volumes.kafka" -}}
{{- if .Values.kafka.tls.secret }}
- name: kafka-tls
  secret: {secretName: {{ .Values.kafka.tls.secret }}, defaultMode: 0440}
{{- end }}
{{- if ne .Values.kafka.sasl.mechanism "none" }}
- name: kafka
  secret:
    secretName: {{ .Values.kafka.sasl.secret }}
    defaultMode: 0440
    items: [{key: {{ .Values.kafka.sasl.key | quote }}, path: secret}]
{{- end }}
{{- end -}}

{{/* Whether workers write to Kafka: "yes" or nothing. */}}
{{- define "devicetwin.sink" -}}
{{- with .Values.worker.kafka -}}
{{- if or .transitions .commands .topics .notifications -}}
yes
{{- end -}}
{{- end -}}
{{- end -}}
