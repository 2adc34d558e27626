package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"

	"devicetwin/deploy/devstack/stack"
)

const grafanaDir = "../../grafana"

type dashboard struct {
	UID        string
	Templating struct {
		List []dashboardVariable
	}
	Annotations struct {
		List []struct {
			Name       string
			Datasource struct{ UID string }
			Target     struct{ Query string }
		}
	}
	Panels []dashboardPanel
}

type dashboardVariable struct {
	Name, Type, Query, AllValue string
	IncludeAll                  bool
	Datasource                  struct{ UID string }
}

type dashboardPanel struct {
	ID                 int
	Title, Description string
	Type, Interval     string
	Datasource         struct{ UID string }
	Targets            []struct {
		RefID, Query string
		RawQuery     bool
		Datasource   struct{ UID string }
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
			if v.Type == "query" && v.Datasource.UID != source.UID {
				t.Errorf("%s: variable %s uses data source %q", file, v.Name, v.Datasource.UID)
			}
		}
		for _, a := range d.Annotations.List {
			if a.Datasource.UID != source.UID {
				t.Errorf("%s: annotation %s uses data source %q", file, a.Name, a.Datasource.UID)
			}
		}
		for _, p := range d.Panels {
			if slices.Contains(bare, p.Type) {
				continue
			}
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
