package model

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/diff"
	"devicetwin/internal/cli"
)

func TestModelDiff(t *testing.T) {
	dir := t.TempDir()
	old := writeFile(t, dir, "old.json", chart)
	spelled := writeFile(t, dir, "spelled.json", strings.Replace(chart, `"5m"`, `"300s"`, 1))
	new := writeFile(t, dir, "new.json", strings.Replace(chart, `"5m"`, `"10m"`, 1))
	broken := writeFile(t, dir, "broken.json", strings.Replace(chart, `"initial": "off"`, `"initial": "of"`, 1))

	status, out, errs := runModel(t, "", "diff", old, new)
	if status != cli.ExitFailed || errs != "" || !strings.Contains(out, `~ "on" after 10m: 5m -> 10m`) {
		t.Errorf("status %d\n%s\nstderr %q", status, out, errs)
	}
	// A statechart without a name is called after its file, so that it alone may differ.
	status, out, errs = runModel(t, "", "diff", spelled, spelled)
	if status != cli.ExitOK || errs != "" {
		t.Errorf("the same file: status %d\n%s\nstderr %q", status, out, errs)
	}
	status, out, _ = runModel(t, "", "diff", "--json", old, new)
	var d struct {
		diff.Diff
		Same bool `json:"same"`
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || status != cli.ExitFailed {
		t.Fatalf("status %d, %v\n%s", status, err, out)
	}
	if d.Same || len(d.Changes) == 0 || d.Old.Hash == d.New.Hash {
		t.Errorf("%s", out)
	}
	status, _, errs = runModel(t, "", "diff", old, broken)
	if status != cli.ExitUsage || !strings.Contains(errs, "broken.json:1:") {
		t.Errorf("status %d, stderr %q", status, errs)
	}
}

// Models come from wherever a reference is known, and else from files.
func TestLookup(t *testing.T) {
	file := writeFile(t, t.TempDir(), "lamp.json", chart)
	known, err := loadOneModel(file)
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("no such version")
	lookup := Lookup(func(_ context.Context, reference string) (*devicefsm.Model, bool, error) {
		switch reference {
		case "lamp@1":
			return known, true, nil
		case "lamp@2":
			return nil, true, wrong
		}
		return nil, false, nil
	})
	if old, new, err := lookup.pair(context.Background(), "lamp@1", file); err != nil || old != known || new == known || new.Hash() != known.Hash() {
		t.Errorf("%v %v %v", old, new, err)
	}
	if _, _, err := lookup.pair(context.Background(), file, "lamp@2"); !errors.Is(err, wrong) {
		t.Errorf("error %v", err)
	}
}
