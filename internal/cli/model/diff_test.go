package model

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
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

// NAME@VERSION is a version of the registry, unless there is such a file.
func TestVersionsOfTheRegistry(t *testing.T) {
	t.Chdir(t.TempDir())
	newer := strings.Replace(chart, `"5m"`, `"10m"`, 1)
	file := writeFile(t, ".", "lamp.json", chart)
	writeFile(t, ".", "lamp@3", newer)
	m, err := devicefsm.Load("lamp.json", []byte(newer))
	if err != nil {
		t.Fatal(err)
	}
	var token string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token = r.Header.Get("Authorization")
		hash := m.Hash()
		switch r.URL.Path {
		case "/v1/models/lamp/versions/2":
		case "/v1/models/lamp/versions/4":
			hash = strings.Repeat("0", 64)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"detail":"model lamp has no version 5"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"file": "lamp.json", "hash": hash, "source": newer})
	}))
	defer server.Close()
	api := []string{"--api-url", server.URL, "--api-token", "t"}
	for _, reference := range []string{"lamp@2", "lamp@3"} {
		status, out, errs := runModel(t, "", append([]string{"diff", file, reference}, api...)...)
		if status != cli.ExitFailed || errs != "" || !strings.Contains(out, `~ "on" after 10m: 5m -> 10m`) {
			t.Errorf("%s: status %d\n%s\nstderr %q", reference, status, out, errs)
		}
	}
	if token != "Bearer t" {
		t.Errorf("token %q", token)
	}
	if status, out, errs := runModel(t, "", append([]string{"plan", "lamp@2", file}, api...)...); status != cli.ExitOK || !strings.Contains(out, m.Hash()) {
		t.Errorf("status %d\n%s\nstderr %q", status, out, errs)
	}
	for reference, want := range map[string]struct {
		status int
		says   string
	}{
		"lamp@4":       {cli.ExitFailed, "load lamp@4 of the registry: it has the hash"},
		"lamp@5":       {cli.ExitNotFound, "read lamp@5 from the registry: model lamp has no version 5"},
		"lamp":         {cli.ExitUsage, "lamp"},
		"x/lamp@2":     {cli.ExitUsage, "x/lamp@2"},
		"missing.yaml": {cli.ExitUsage, "missing.yaml"},
	} {
		if status, _, errs := runModel(t, "", append([]string{"diff", file, reference}, api...)...); status != want.status || !strings.Contains(errs, want.says) {
			t.Errorf("%s: status %d, stderr %q; want %d, %q", reference, status, errs, want.status, want.says)
		}
	}
	if status, _, errs := runModel(t, "", "diff", file, "lamp@2", "--api-url", "nowhere"); status != cli.ExitUsage || !strings.Contains(errs, "--api-url") {
		t.Errorf("status %d, stderr %q", status, errs)
	}
}
