package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"devicetwin/deploy/devstack/stack"
)

const grafanaDir = "../../grafana"

type dashboard struct {
	UID        string
	Templating struct {
		List []struct {
			Name       string
			Query      string
			Datasource struct{ UID string }
		}
	}
	Panels []struct {
		Title      string
		Datasource struct{ UID string }
		Targets    []struct {
			Query      string
			RawQuery   bool
			Datasource struct{ UID string }
		}
	}
}

func readDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(grafanaDir, "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	dashboards := map[string]dashboard{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		dashboards[filepath.Base(file)] = d
	}
	return dashboards
}

// Every query of every dashboard runs on the real InfluxDB, and finds the points
// that a fleet leaves behind.
func TestDashboardQueriesFindData(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartInfluxDB}})
	writeInflux(t, s, fleetPoints(time.Now())...)
	variables := strings.NewReplacer(
		"$timeFilter", "time >= now() - 15m", "$__interval", "10s", "$model", "pump", "$device", "pump-0001")
	for file, d := range readDashboards(t) {
		queries := map[string]string{}
		for _, v := range d.Templating.List {
			queries["variable "+v.Name] = v.Query
		}
		for _, p := range d.Panels {
			if len(p.Targets) == 0 {
				t.Errorf("%s: panel %q has no query", file, p.Title)
			}
			for i, target := range p.Targets {
				if !target.RawQuery {
					t.Errorf("%s: panel %q query %d is not written as InfluxQL", file, p.Title, i)
				}
				queries[fmt.Sprintf("panel %q query %d", p.Title, i)] = target.Query
			}
		}
		for what, query := range queries {
			rows := queryInflux(t, s.InfluxDB.URL(), variables.Replace(query))
			if len(rows) == 0 {
				t.Errorf("%s: %s finds nothing: %s", file, what, query)
			}
		}
	}
}

// fleetPoints are what bridge and worker write, by the names that they use.
func fleetPoints(now time.Time) []string {
	var lines []string
	add := func(ago time.Duration, format string, args ...any) {
		lines = append(lines, fmt.Sprintf(format, args...)+fmt.Sprintf(" %d", now.Add(-ago).UnixNano()))
	}
	for i := range 12 {
		ago := time.Duration(120-10*i) * time.Second
		add(ago, `bridge,bridge=bridge messages=%di,events=%di,signals=%di,devices_known=100i,oldest_unacknowledged_seconds=0.1,`+
			`dead_letters=%di,window_messages=3i,devices_waiting=2i,signals_in_flight=1i,signal_failures=%di,connections_lost=%di,gaps=%di`,
			1000*i, 200*i, 100*i, i, i, i, i)
		add(ago, `pump,device=pump-0001,model=pump temperature=%d,rpm=1480`, 60+i)
	}
	add(50*time.Second, `transitions,device=pump-0001,model=pump,from=online,to=reprovisioning event="crash_loop",count=1i`)
	add(40*time.Second, `transitions,device=pump-0001,model=pump,from=reprovisioning,to=online event="boot",count=1i`)
	add(30*time.Second, `transitions,device=pump-0002,model=pump,from=online,to=overheated event="reading",count=1i`)
	add(49*time.Second, `reprovisions,device=pump-0001,model=pump,reason=crash_loop command="c1",count=1i`)
	return lines
}

func TestDashboardsUseTheProvisionedDataSource(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(grafanaDir, "provisioning", "datasources", "devicetwin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var provisioned struct {
		Datasources []struct {
			UID      string `yaml:"uid"`
			URL      string `yaml:"url"`
			JSONData struct {
				DBName string `yaml:"dbName"`
			} `yaml:"jsonData"`
		} `yaml:"datasources"`
	}
	if err := yaml.Unmarshal(raw, &provisioned); err != nil {
		t.Fatal(err)
	}
	if len(provisioned.Datasources) != 1 {
		t.Fatalf("%d data sources", len(provisioned.Datasources))
	}
	source := provisioned.Datasources[0]
	if source.JSONData.DBName != stack.Database || source.URL != "${DEVICETWIN_INFLUX_URL}" {
		t.Errorf("data source: %+v", source)
	}
	for file, d := range readDashboards(t) {
		for _, v := range d.Templating.List {
			if v.Datasource.UID != source.UID {
				t.Errorf("%s: variable %s uses data source %q", file, v.Name, v.Datasource.UID)
			}
		}
		for _, p := range d.Panels {
			if p.Datasource.UID != source.UID {
				t.Errorf("%s: panel %q uses data source %q", file, p.Title, p.Datasource.UID)
			}
			for _, target := range p.Targets {
				if target.Datasource.UID != source.UID {
					t.Errorf("%s: a query of panel %q uses data source %q", file, p.Title, target.Datasource.UID)
				}
			}
		}
	}
}

func grafanaInstalled() bool {
	for _, program := range []string{"grafana", "grafana-server"} {
		if _, err := exec.LookPath(program); err == nil {
			return true
		}
	}
	return false
}

func TestGrafana(t *testing.T) {
	if !grafanaInstalled() {
		t.Skip("no program named grafana or grafana-server on the PATH: install Grafana to test that it starts with our provisioning")
	}
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartInfluxDB, stack.PartGrafana}, GrafanaDir: grafanaDir})
	for file, d := range readDashboards(t) {
		eventually(t, "dashboard "+file, func(ctx context.Context) bool {
			response, err := http.Get(s.Grafana.URL() + "/api/dashboards/uid/" + d.UID)
			if err != nil {
				return false
			}
			response.Body.Close()
			return response.StatusCode == http.StatusOK
		})
	}
}

func TestMissingGrafanaIsSaid(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s, err := open(t, stack.Options{Parts: []stack.Part{stack.PartInfluxDB, stack.PartGrafana}, GrafanaDir: grafanaDir})
	if err == nil {
		shut(t, s)
		t.Fatal("started Grafana without Grafana")
	}
	if !errors.Is(err, stack.ErrNoGrafana) {
		t.Errorf("got %v", err)
	}
}
