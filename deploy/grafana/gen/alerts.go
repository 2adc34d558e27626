package main

import (
	"bytes"
	"cmp"
	"fmt"
	"text/template"

	m "devicetwin/internal/measure"
)

// rule is one alert. Its query gives one row for each value of its tag; the rule
// fires for each whose value was above the limit, or below, for as long as it says.
//
// Nothing in it may hold a dollar sign: Grafana's versions differ in what they
// make of one in a provisioned rule. So the time is in the query, and
// templates read .Labels.
type rule struct {
	UID, Title       string
	Dashboard, Panel string
	Query            query
	Above, Below     string // one of them
	For              string
	NoData, Error    string // "": OK, and the state of before
	Summary          string
	Severity         string

	DashboardUID       string
	PanelID, RunbookID int
}

// While InfluxDB does not answer, one rule fires: all others keep the state that they
// had, because nothing is known.
const keep = "KeepLast"

func rules() []rule {
	bridge, process, worker := of(m.Bridge).last("2m"), of(m.Process).last("10m"), of(m.Worker).last("2m")
	return []rule{
		{
			UID: "influxdb-away", Title: "InfluxDB does not answer", Dashboard: "pipeline", Panel: titlePoints,
			Query: of(m.Process).last("5m").inAll(call("count", m.ProcessCPU, "points")),
			Below: "1", For: "1m", NoData: "Alerting", Error: "Alerting", Severity: "critical",
			Summary: "InfluxDB does not answer, or no process has written to it in the last 5 minutes.",
		},
		{
			UID: "no-worker", Title: "No worker runs", Dashboard: "pipeline", Panel: titleWorkers,
			Query: worker.inAll(call("count", m.WorkerModelsMissing, "points")),
			Below: "1", For: "1m", NoData: "Alerting", Severity: "critical",
			Summary: "No worker has written metrics in the last 2 minutes: messages are accepted, and nothing is applied.",
		},
		{
			UID: "no-broker", Title: "A bridge has no broker", Dashboard: "pipeline", Panel: titleConnected,
			Query: bridge.inAll(call("last", "broker_connected", "connected"), m.TagBridge),
			Below: "1", For: "1m", NoData: "Alerting", Severity: "critical",
			Summary: "Bridge {{ .Labels.bridge }} is not connected to the broker, or no bridge runs.",
		},
		{
			UID: "oldest-unacknowledged", Title: "Messages wait for Temporal", Dashboard: "pipeline", Panel: titleOldest,
			Query: bridge.inAll(call("last", "oldest_unacknowledged_seconds", "seconds"), m.TagBridge),
			Above: "30", For: "1m", Severity: "critical",
			Summary: "Bridge {{ .Labels.bridge }}: the oldest message has waited for more than 30 seconds.",
		},
		{
			UID: "backlog", Title: "Messages wait in the log", Dashboard: "pipeline", Panel: titleBacklog,
			Query: bridge.inAll(call("last", "backlog_seconds", "seconds"), m.TagBridge),
			Above: "60", For: "1m", Severity: "critical",
			Summary: "Bridge {{ .Labels.bridge }}: the oldest message in the log has waited for more than a minute.",
		},
		{
			UID: "log-full", Title: "The log is full", Dashboard: "pipeline", Panel: titleLog,
			Query: bridge.inAll(call("last", "log_full", "full"), m.TagBridge),
			Above: "0", For: "1m", Severity: "critical",
			Summary: "Bridge {{ .Labels.bridge }} is not accepting messages: its log has no room, or cannot be written.",
		},
		{
			UID: "task-wait", Title: "Workflow tasks wait for workers", Dashboard: "pipeline", Panel: titleTasks,
			Query: worker.inAll(call("last", m.WorkerTaskWaitP99, "seconds"), m.TagProcess),
			Above: "2", For: "2m", Severity: "warning",
			Summary: "Worker {{ .Labels.process }}: workflow tasks wait for more than 2 seconds.",
		},
		{
			UID: "dead-letters", Title: "Messages are refused", Dashboard: "pipeline", Panel: titleLetters,
			Query: of(m.Bridge).last("15m").news("dead_letters").inAll(call("sum", "n", "letters"), m.TagBridge),
			Above: "0", For: "0s", Severity: "warning",
			Summary: "Bridge {{ .Labels.bridge }} has refused messages in the last 15 minutes.",
		},
		{
			UID: "points-wait", Title: "Points wait on disk", Dashboard: "pipeline", Panel: titlePointsWait,
			Query: process.inAll(`last("points_backlog_bytes") - first("points_backlog_bytes") AS "bytes"`, m.TagProcess),
			Above: "1048576", For: "5m", Severity: "warning",
			Summary: "Process {{ .Labels.process }}: more and more points wait in the log.",
		},
		{
			UID: "reprovisions-fail", Title: "Reprovisions fail", Dashboard: "fleet", Panel: titleReprovisions,
			Query: of(m.Reprovisions).last("15m").inAll(fmt.Sprintf(`sum("%s") / sum("%s") AS "share"`, m.ReprovisionFailed, m.ReprovisionStarted), m.TagModel),
			Above: "0.25", For: "10m", Severity: "warning",
			Summary: "Model {{ .Labels.model }}: more than a quarter of the reprovisions have failed in the last 15 minutes.",
		},
		{
			UID: "devices-silent", Title: "Devices are silent", Dashboard: "fleet", Panel: titleSilent,
			Query: bridge.inAll(`last("devices_silent") / last("devices_known") AS "share"`, m.TagBridge),
			Above: "0.05", For: "2m", Severity: "warning",
			Summary: "Bridge {{ .Labels.bridge }}: more than 5 percent of its devices are silent.",
		},
	}
}

var rulesTemplate = template.Must(template.New("rules").Delims("[[", "]]").Parse(`# Made by deploy/grafana/gen (make dashboards). What to do for each of them:
# docs/operations.md, "When an alert fires", and the dashboard Runbook. Grafana 11 or
# newer. Configure recipients in your contact points and notification policies.
apiVersion: 1
groups:
  - orgId: 1
    name: devicetwin
    folder: devicetwin
    interval: 1m
    rules:
[[- range .]]
      - uid: devicetwin-[[.UID]]
        title: [[.Title]]
        condition: C
        for: [[.For]]
        noDataState: [[.NoData]]
        execErrState: [[.Error]]
        labels: {severity: [[.Severity]]}
        annotations:
          __dashboardUid__: [[.DashboardUID]]
          __panelId__: "[[.PanelID]]" # [[.Panel]]
          runbook_url: /d/devicetwin-runbook?viewPanel=[[.RunbookID]]
          summary: "[[.Summary]]"
          description: 'What to do: docs/operations.md, "[[.Title]]".'
        data:
          - refId: A
            datasourceUid: devicetwin-influxdb
            relativeTimeRange: {from: 900, to: 0}
            model:
              refId: A
              rawQuery: true
              resultFormat: time_series
              query: '[[.Query.Text]]'
          - refId: B
            datasourceUid: __expr__
            relativeTimeRange: {from: 0, to: 0}
            model: {refId: B, type: reduce, expression: A, reducer: last, settings: {mode: dropNN}, datasource: {type: __expr__, uid: __expr__}}
          - refId: C
            datasourceUid: __expr__
            relativeTimeRange: {from: 0, to: 0}
            model:
              refId: C
              type: threshold
              expression: B
              conditions: [{evaluator: {type: [[if .Above]]gt[[else]]lt[[end]], params: [["["]][[.Above]][[.Below]][["]"]]}}]
              datasource: {type: __expr__, uid: __expr__}
[[- end]]
`))

// Text is the query as InfluxQL.
func (q query) Text() string { return q.text }

// alerting writes the alert rules.
func alerting(all map[string]*dashboard) ([]byte, error) {
	list := rules()
	for i := range list {
		r := &list[i]
		d := all[r.Dashboard]
		var err error
		if r.PanelID, err = d.panelID(r.Panel); err != nil {
			return nil, fmt.Errorf("alert rule %s: %w", r.UID, err)
		}
		if r.RunbookID, err = all["runbook"].panelID(r.Title); err != nil {
			return nil, fmt.Errorf("alert rule %s: %w", r.UID, err)
		}
		r.DashboardUID, r.NoData, r.Error = d.UID, cmp.Or(r.NoData, "OK"), cmp.Or(r.Error, keep)
	}
	var b bytes.Buffer
	if err := rulesTemplate.Execute(&b, list); err != nil {
		return nil, fmt.Errorf("write the alert rules: %w", err)
	}
	return b.Bytes(), nil
}
