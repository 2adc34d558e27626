// Command gen writes the dashboards and alert rules of deploy/grafana, from the
// names in internal/measure. To change one, change its file here (fleet.go,
// device.go, pipeline.go, simulator.go, alerts.go), and run in the root of the
// repository
//
//	make dashboards
//
// What it writes is checked in; a test says if it is not what this writes.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen DIR (deploy/grafana)")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	files, err := files(filepath.Join(dir, "..", "..", "docs", "operations.md"))
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// dashboards makes all of them; what operators do when a rule fires is in a document.
func dashboards(operations string) (map[string]*dashboard, error) {
	all := map[string]*dashboard{
		"fleet": fleet(), "device": device(), "pipeline": pipeline(), "simulator": simulatorRun(), "groups": groups(),
	}
	text, err := os.ReadFile(operations)
	if err != nil {
		return nil, fmt.Errorf("read what to do when a rule fires: %w", err)
	}
	all["runbook"], err = runbook(string(text))
	return all, err
}

// files is what is written, by path below deploy/grafana.
func files(operations string) (map[string][]byte, error) {
	all, err := dashboards(operations)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for name, d := range all {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := e.Encode(d); err != nil {
			return nil, fmt.Errorf("encode dashboard %s: %w", name, err)
		}
		out[filepath.Join("dashboards", name+".json")] = b.Bytes()
	}
	rules, err := alerting(all)
	if err != nil {
		return nil, err
	}
	out[filepath.Join("provisioning", "alerting", "devicetwin.yaml")] = rules
	return out, nil
}
