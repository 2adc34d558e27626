package app

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "devicetwin"

// The second and third rule of the house: who may import whom of this module.
// A package that is not named here may not exist without a decision.
var mayImport = map[string][]string{
	"source":             {},
	"device":             {}, // the vocabulary: imports nothing
	"internal/measure":   {},
	"internal/figures":   {},
	"devicefsm/pattern":  {},
	"devicefsm":          {"device", "devicefsm/pattern", "source"},
	"devicefsm/script":   {"device", "devicefsm", "source"},
	"twin":               {},
	"twin/command":       {},
	"bridge":             {"device", "devicefsm", "internal/backoff", "internal/faults", "internal/jsonsize", "internal/measure", "internal/text", "internal/tlsfiles", "mqtt", "twin"},
	"workflows":          {"device", "devicefsm", "internal/measure", "mqtt", "twin", "twin/command"},   // mqtt: the rule of topic filters
	"mqtt":               {"internal/backoff", "internal/faults", "internal/text", "internal/tlsfiles"}, // the client: connections, publisher, rules of filters
	"mqtt/mqtttest":      {"mqtt"},                                                                      // a broker under the control of a test
	"simulator":          {"device", "devicefsm", "internal/measure", "source"},
	"api":                {},
	"api/apitest":        {"api"},
	"api/client":         {"api"},
	"cmd/devicetwin/app": {"device", "api", "api/client", "bridge", "devicefsm", "devicefsm/script", "internal/codec", "internal/credentials", "internal/figures", "internal/measure", "internal/tlsfiles", "mqtt", "source", "simulator", "twin", "twin/command", "workflows"},
	"cmd/devicetwin":     {"cmd/devicetwin/app"},
	"deploy/grafana/gen": {"bridge", "internal/measure"},

	"internal/backoff":  {},
	"internal/faults":   {},
	"internal/jsonsize": {},
	"internal/text":     {},
	"internal/tlsfiles": {"internal/faults"}, // it reports every fault of the files

	"internal/codec":         {},
	"internal/credentials":   {},
	"deploy/mosquitto":       {}, // tests of the broker's configuration
	"deploy/mosquitto/login": {"internal/credentials"},
	"deploy/systemd":         {}, // tests of the units
}

// The first rule: the core does no I/O and knows no server. These packages may
// not appear anywhere below it.
var notInTheCore = []string{
	"net/http", "os/exec", "go.temporal.io/", "github.com/eclipse/paho", "github.com/influxdata/", "math/rand",
}

// The root module stays slim: heavy servers live in deploy/devstack only.
var notInTheRoot = []string{
	module + "/deploy", "go.temporal.io/server", "github.com/nats-io/nats-server", "github.com/influxdata/influxdb/",
	"github.com/temporalio/ui-server",
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) map[string]goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	packages := map[string]goPackage{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module+"/")] = p
	}
}

func TestImportsPointOneWay(t *testing.T) {
	packages := listPackages(t)
	for name, p := range packages {
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("package %s has no place in the layout: add it to DESIGN and here", name)
		}
		for _, imported := range p.Imports {
			short, ours := strings.CutPrefix(imported, module+"/")
			if ours && !slices.Contains(allowed, short) {
				t.Errorf("%s imports %s, and may only import %v", name, short, allowed)
			}
		}
		refuse(t, name, p.Deps, notInTheRoot)
	}
	for _, core := range []string{"devicefsm", "devicefsm/pattern", "devicefsm/script", "twin", "twin/command"} {
		refuse(t, core, packages[core].Imports, notInTheCore)
	}
	for name := range mayImport {
		if _, ok := packages[name]; !ok {
			t.Errorf("package %s of the layout is gone", name)
		}
	}
}

func refuse(t *testing.T, name string, imports, forbidden []string) {
	t.Helper()
	for _, imported := range imports {
		for _, f := range forbidden {
			if strings.HasPrefix(imported, f) {
				t.Errorf("%s depends on %s", name, imported)
			}
		}
	}
}
