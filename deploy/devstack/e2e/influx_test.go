package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/service"
)

// queryInflux runs InfluxQL on the InfluxDB of a stack, and returns all rows.
func queryInflux(t *testing.T, address, query string) [][]any {
	t.Helper()
	return influxTarget{InfluxServer: service.InfluxServer{URL: address}}.query(t, query)
}

func TestInfluxDB(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartInfluxDB}})
	targetOf(s.InfluxDB).write(t,
		`pump,device=p1,model=pump temperature=71.5,running=true 1764000000000000000`,
		`pump,device=p2,model=pump temperature=60 1764000001000000000`)
	rows := queryInflux(t, s.InfluxDB.URL(), `SELECT temperature FROM pump WHERE device = 'p1'`)
	if got := fmt.Sprint(rows); got != "[[2025-11-24T16:00:00Z 71.5]]" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(queryInflux(t, s.InfluxDB.URL(), `SHOW DATABASES`)); got != "[[devicetwin]]" {
		t.Errorf("databases: %s", got)
	}
	policies := queryInflux(t, s.InfluxDB.URL(), `SHOW RETENTION POLICIES ON `+stack.Database)
	if len(policies) != 1 || policies[0][0] != stack.RetentionPolicy {
		t.Errorf("retention policies: %v", policies)
	}
}

// The time for which points are kept can be changed from one start to the next.
func TestHowLongPointsAreKept(t *testing.T) {
	o := stack.Options{DataDir: t.TempDir(), Parts: []stack.Part{stack.PartInfluxDB}}
	for keep, want := range map[time.Duration][]any{
		0:                   {"0s", "168h0m0s"},
		90 * 24 * time.Hour: {"2160h0m0s", "24h0m0s"},
		time.Hour:           {"1h0m0s", "1h0m0s"},
	} {
		o.KeepPoints = keep
		s, err := open(t, o)
		if err != nil {
			t.Fatalf("points kept for %v: %v", keep, err)
		}
		rows := queryInflux(t, s.InfluxDB.URL(), "SHOW RETENTION POLICIES")
		if len(rows) != 1 || rows[0][0] != stack.RetentionPolicy || rows[0][1] != want[0] || rows[0][2] != want[1] {
			t.Errorf("points kept for %v: %v, want %v", keep, rows, want)
		}
		shut(t, s)
	}
	o.KeepPoints = time.Minute
	if _, err := open(t, o); err == nil || !strings.Contains(err.Error(), "points kept for 1m0s") {
		t.Errorf("points kept for a minute: %v", err)
	}
}
