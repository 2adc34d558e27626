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
	files, err := files()
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

func dashboards() map[string]*dashboard {
	return map[string]*dashboard{
		"fleet": fleet(), "device": device(), "pipeline": pipeline(), "simulator": simulatorRun(),
	}
}

// files is what is written, by path below deploy/grafana.
func files() (map[string][]byte, error) {
	all := dashboards()
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
