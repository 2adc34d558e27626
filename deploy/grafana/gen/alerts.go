package main

import (
	"bytes"
	"fmt"
	"text/template"

	m "devicetwin/internal/measure"
)

// rule is one alert. Its query gives one row for each value of its tag; the rule
// fires for each whose last value was above the limit for as long as it says.
//
// Nothing in it may hold a dollar sign: Grafana's versions differ in what they
// make of one in a provisioned rule. So the time is in the query, and
// templates read .Labels.
type rule struct {
	UID, Title    string
	Dashboard     string
	Panel         string
	PanelID       int
	DashboardUID  string
	Query         string
	Above         string
	For           string
	NoData, Error string
	Summary       string
	Severity      string
}

func rules() []rule {
	return []rule{
		{
			UID: "devicetwin-oldest-unacknowledged", Title: "Messages wait for Temporal", Dashboard: "pipeline", Panel: titleOldest,
			Query: fmt.Sprintf(`SELECT last("%s") AS "seconds" FROM "%s" WHERE time > now() - 2m GROUP BY "%s"`, "oldest_unacknowledged_seconds", m.Bridge, m.TagBridge),
			Above: "30", For: "1m", NoData: "NoData", Error: "Error", Severity: "critical",
			Summary: "Bridge {{ .Labels.bridge }}: the oldest message has waited for more than 30 seconds.",
		},
		{
			UID: "devicetwin-dead-letters", Title: "Messages are refused", Dashboard: "pipeline", Panel: titleLetters,
			Query: fmt.Sprintf(`SELECT sum("n") AS "letters" FROM (SELECT non_negative_difference(last("%s")) AS "n" FROM "%s" WHERE time > now() - 15m GROUP BY time(10s), "%s" fill(none)) WHERE time > now() - 15m GROUP BY "%s"`,
				"dead_letters", m.Bridge, m.TagBridge, m.TagBridge),
			Above: "0", For: "0s", NoData: "OK", Error: "Error", Severity: "warning",
			Summary: "Bridge {{ .Labels.bridge }} has refused messages in the last 15 minutes.",
		},
		{
			UID: "devicetwin-points-wait", Title: "Points wait on disk", Dashboard: "pipeline", Panel: titlePointsWait,
			Query: fmt.Sprintf(`SELECT last("%s") - first("%s") AS "bytes" FROM "%s" WHERE time > now() - 10m GROUP BY "%s"`,
				"points_backlog_bytes", "points_backlog_bytes", m.Process, m.TagProcess),
			// While InfluxDB is down, the rule has no data: no response is
			// the alert.
			Above: "1048576", For: "5m", NoData: "Alerting", Error: "Alerting", Severity: "warning",
			Summary: "Process {{ .Labels.process }}: more and more points wait in the log, or InfluxDB does not answer.",
		},
		{
			UID: "devicetwin-reprovisions-fail", Title: "Reprovisions fail", Dashboard: "fleet", Panel: "Reprovisions",
			Query: fmt.Sprintf(`SELECT sum("%s") / sum("%s") AS "share" FROM "%s" WHERE time > now() - 15m GROUP BY "%s"`,
				m.ReprovisionFailed, m.ReprovisionStarted, m.Reprovisions, m.TagModel),
			Above: "0.25", For: "10m", NoData: "OK", Error: "Error", Severity: "warning",
			Summary: "Model {{ .Labels.model }}: more than a quarter of the reprovisions have failed in the last 15 minutes.",
		},
		{
			UID: "devicetwin-devices-silent", Title: "Devices are silent", Dashboard: "fleet", Panel: "Devices silent",
			Query: fmt.Sprintf(`SELECT last("%s") / last("%s") AS "share" FROM "%s" WHERE time > now() - 2m GROUP BY "%s"`,
				"devices_silent", "devices_known", m.Bridge, m.TagBridge),
			Above: "0.05", For: "5m", NoData: "OK", Error: "Error", Severity: "warning",
			Summary: "Bridge {{ .Labels.bridge }}: more than 5 percent of its devices are silent.",
		},
	}
}

var rulesTemplate = template.Must(template.New("rules").Delims("[[", "]]").Parse(`# Made by deploy/grafana/gen (make dashboards). What to do for each of them:
# docs/operations.md, "When an alert fires". Grafana 9.4 or newer. Configure
# recipients in your contact points and notification policies.
apiVersion: 1
groups:
  - orgId: 1
    name: devicetwin
    folder: devicetwin
    interval: 1m
    rules:
[[- range .]]
      - uid: [[.UID]]
        title: [[.Title]]
        condition: C
        for: [[.For]]
        noDataState: [[.NoData]]
        execErrState: [[.Error]]
        dashboardUid: [[.DashboardUID]]
        panelId: [[.PanelID]] # [[.Panel]]
        labels: {severity: [[.Severity]]}
        annotations:
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
              query: '[[.Query]]'
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
              conditions: [{evaluator: {type: gt, params: [["["]][[.Above]][["]"]]}}]
              datasource: {type: __expr__, uid: __expr__}
[[- end]]
`))

// alerting writes the alert rules.
func alerting(all map[string]*dashboard) ([]byte, error) {
	list := rules()
	for i := range list {
		r := &list[i]
		d := all[r.Dashboard]
		id, err := d.panelID(r.Panel)
		if err != nil {
			return nil, fmt.Errorf("alert rule %s: %w", r.UID, err)
		}
		r.DashboardUID, r.PanelID = d.UID, id
	}
	var b bytes.Buffer
	if err := rulesTemplate.Execute(&b, list); err != nil {
		return nil, fmt.Errorf("write the alert rules: %w", err)
	}
	return b.Bytes(), nil
}
