package model

import (
	"strings"
	"testing"

	"devicetwin/internal/cli"
)

func TestModelPlan(t *testing.T) {
	dir := t.TempDir()
	old := writeFile(t, dir, "lamp.json", chart)
	new := writeFile(t, dir, "new.json", strings.Replace(chart, `"context": {"n": 0}`, `"context": {"n": 0, "limit": 3}`, 1))

	status, text, errs := runModel(t, "", "plan", old, new)
	if status != cli.ExitOK || !strings.Contains(text, "limit: # FILL IN") || errs != "1 place to fill in before the plan can be used\n" {
		t.Fatalf("status %d\n%s\nstderr %q", status, text, errs)
	}
	file := writeFile(t, dir, "plan.yaml", text)
	status, _, errs = runModel(t, "", "plan", "--check", old, new, file)
	if status != cli.ExitUsage || !strings.Contains(errs, `context key "limit" is only in the new model`) {
		t.Errorf("with a hole: status %d, stderr %q", status, errs)
	}
	file = writeFile(t, dir, "plan.yaml", strings.Replace(text, "limit: #", "limit: 5 #", 1))
	status, out, errs := runModel(t, "", "plan", "--check", old, new, file)
	if status != cli.ExitOK || errs != "" || !strings.Contains(out, "ok, hash ") || !strings.Contains(out, "3 configurations of the old model: 0 without a legal image") {
		t.Errorf("status %d\n%s\nstderr %q", status, out, errs)
	}
	status, out, _ = runModel(t, "", "plan", "--inverse", old, new, file)
	back := writeFile(t, dir, "back.yaml", out)
	if status != cli.ExitOK || !strings.Contains(out, "limit: drop") {
		t.Errorf("status %d\n%s", status, out)
	}
	if status, out, errs = runModel(t, "", "plan", new, old, back); status != cli.ExitOK || errs != "" {
		t.Errorf("the way back: status %d\n%s\nstderr %q", status, out, errs)
	}

	held := writeFile(t, dir, "bad.yaml", strings.Replace(strings.Replace(text, "limit: #", "limit: 5 #", 1), `"on": "on"`, `"on": end`, 1))
	status, out, errs = runModel(t, "", "plan", "--check", old, new, held)
	if status != cli.ExitFailed || !strings.Contains(out, `timer "on after 5m" would go on in on, which is not active`) {
		t.Errorf("without a legal image: status %d\n%s\nstderr %q", status, out, errs)
	}
	if status, _, errs = runModel(t, "", "plan", "--check", old, new); status != cli.ExitUsage || !strings.Contains(errs, "need a plan") {
		t.Errorf("status %d, stderr %q", status, errs)
	}
}
