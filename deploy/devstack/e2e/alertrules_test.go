package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// alertRule is a rule as Grafana reads it.
type alertRule struct {
	UID, Title, Condition string
	For                   time.Duration
	NoDataState           string `yaml:"noDataState"`
	ExecErrState          string `yaml:"execErrState"`
	Annotations           struct {
		Dashboard string `yaml:"__dashboardUid__"`
		Panel     string `yaml:"__panelId__"`
	}
	Data []struct {
		RefID string `yaml:"refId"`
		Model struct {
			Query      string
			Conditions []struct{ Evaluator alertLimit }
		}
	}

	every time.Duration // between evaluations: the interval of its group
}

// alertLimit is a threshold: the only parameter is the limit.
type alertLimit struct {
	Type   string // gt or lt
	Params []float64
}

func (l alertLimit) passed(v float64) bool {
	return l.Type == "gt" && v > l.Params[0] || l.Type == "lt" && v < l.Params[0]
}

// alertRules are the provisioned rules, by their uids.
func alertRules(t *testing.T) map[string]alertRule {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(grafanaDir, "provisioning", "alerting", "devicetwin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Interval time.Duration
			Rules    []alertRule
		}
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]alertRule{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			r.every = g.Interval
			if err := r.check(); err != nil {
				t.Fatalf("alert rule %s: %v", r.UID, err)
			}
			all[r.UID] = r
		}
	}
	if len(all) < 5 {
		t.Errorf("%d alert rules, want at least 5", len(all))
	}
	return all
}

// check refuses a rule that is not made as values and means evaluate it: a query, the
// last value of each of its series, and a threshold for these.
func (r alertRule) check() error {
	if len(r.Data) != 3 || r.query() == "" || r.Data[2].RefID != r.Condition || len(r.Data[2].Model.Conditions) != 1 {
		return fmt.Errorf("it has no query, or its condition %q is not its last step", r.Condition)
	}
	if l := r.limit(); !slices.Contains([]string{"gt", "lt"}, l.Type) || len(l.Params) != 1 {
		return fmt.Errorf("evaluator %+v", l)
	}
	if r.every <= 0 || !slices.Contains([]string{"OK", "Alerting"}, r.NoDataState) || !slices.Contains([]string{"KeepLast", "Alerting"}, r.ExecErrState) {
		return fmt.Errorf("evaluated every %v, without data %q, after an error %q", r.every, r.NoDataState, r.ExecErrState)
	}
	if !newest.MatchString(r.query()) {
		return fmt.Errorf("it does not ask for the newest points: %s", r.query())
	}
	return nil
}

func (r alertRule) query() string     { return r.Data[0].Model.Query }
func (r alertRule) limit() alertLimit { return r.Data[2].Model.Conditions[0].Evaluator }

// values are what the rule compares with its limit: the last value of each series of its
// query, as it was, or will be, at a moment.
func (r alertRule) values(ctx context.Context, influx influxTarget, at time.Time) (values []float64, err error) {
	series, err := influx.try(ctx, url.Values{"q": {asOf(r.query(), at)}})
	if err != nil {
		return nil, err
	}
	for _, s := range series {
		if v, ok := s.Values[len(s.Values)-1][1].(float64); ok {
			values = append(values, v)
		}
	}
	return values, nil
}

// met reports whether the condition is met, by what values returned. Where there is nothing
// to compare, the rule says what that means; KeepLast is what was so before.
func (r alertRule) met(values []float64, err error, before bool) bool {
	switch {
	case err != nil:
		return r.ExecErrState == "Alerting" || r.ExecErrState == "KeepLast" && before
	case len(values) == 0:
		return r.NoDataState == "Alerting"
	}
	return slices.ContainsFunc(values, r.limit().passed)
}

// panel is the title of the panel that the rule names, and of its dashboard's uid.
func (r alertRule) panel(t *testing.T) string {
	t.Helper()
	for _, d := range readDashboards(t) {
		for _, p := range d.Panels {
			if d.UID == r.Annotations.Dashboard && strconv.Itoa(p.ID) == r.Annotations.Panel {
				return fmt.Sprintf("%q of %s", p.Title, d.UID)
			}
		}
	}
	t.Errorf("alert rule %s names panel %s of dashboard %s, which there is not", r.UID, r.Annotations.Panel, r.Annotations.Dashboard)
	return ""
}
