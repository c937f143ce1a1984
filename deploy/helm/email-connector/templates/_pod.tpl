{{/* The pod, of the StatefulSet with its volume or of the Deployment that shares a database. */}}
{{- define "connector.pod" -}}
metadata:
  labels:
    {{- include "connector.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ printf "%s%s" (include "connector.config" .) (toYaml .Values.mappings) | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "connector.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "connector.gracePeriod" . }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: connector
      image: {{ include "connector.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext: {{- toYaml .Values.securityContext | nindent 8 }}
      env:
        - {name: CONNECTOR_CONFIG, value: /etc/email-connector/connector.yaml}
        - {name: CONNECTOR_SERVER__LISTEN, value: "0.0.0.0:9464"}
        {{- if include "connector.actions" . }}
        - {name: CONNECTOR_ACTIONS__LISTEN, value: "0.0.0.0:9465"}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.envFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: http, containerPort: 9464, protocol: TCP}
        {{- if include "connector.actions" . }}
        - {name: actions, containerPort: 9465, protocol: TCP}
        {{- end }}
      {{- with .Values.startupProbe }}
      startupProbe: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.livenessProbe }}
      livenessProbe: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.readinessProbe }}
      readinessProbe: {{- include "connector.httpProbe" (dict "probe" . "config" $.Values.config) | nindent 8 }}
      {{- end }}
      {{- with .Values.lifecycle }}
      lifecycle: {{- toYaml . | nindent 8 }}
      {{- end }}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: state, mountPath: /var/lib/email-connector}
        - {name: config, mountPath: /etc/email-connector, readOnly: true}
        {{- if include "connector.secret" . }}
        - {name: secrets, mountPath: /run/secrets/email-connector, readOnly: true}
        {{- end }}
        {{- if and (include "connector.actions" .) .Values.actions.tlsSecret }}
        - {name: actions-tls, mountPath: /run/secrets/email-connector-actions, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      projected:
        sources:
          - configMap:
              name: {{ default (include "connector.fullname" .) .Values.existingConfigMap }}
          {{- if .Values.mappings }}
          - configMap:
              name: {{ include "connector.fullname" . }}-mappings
              items:
                {{- range $name := keys .Values.mappings | sortAlpha }}
                - {key: {{ $name }}, path: mappings/{{ $name }}}
                {{- end }}
          {{- end }}
    {{- if include "connector.secret" . }}
    - name: secrets
      secret:
        secretName: {{ include "connector.secret" . }}
        defaultMode: 0440
    {{- end }}
    {{- if and (include "connector.actions" .) .Values.actions.tlsSecret }}
    - name: actions-tls
      secret:
        secretName: {{ .Values.actions.tlsSecret }}
        defaultMode: 0440
    {{- end }}
    {{- if or (include "connector.shared" .) (not .Values.persistence.enabled) }}
    - name: state
      emptyDir: {}
    {{- else if .Values.persistence.existingClaim }}
    - name: state
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if include "connector.shared" . }}
  # Two replicas on one node would end together.
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "connector.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
{{- end }}
