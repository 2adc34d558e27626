package model

import (
	"strings"
	"testing"
)

func TestModelCheckExplainsRelevance(t *testing.T) {
	status, out, errs := runModel(t, "", "check", "--relevance", "../../../models/pump.yaml")
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %s", status, errs)
	}
	for _, want := range []string{"pump: ok", "\nreading\n  A: event.temperature > 90\n", "after 10s in overheated it can be in online"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if _, out, _ = runModel(t, "", "check", "../../../models/pump.yaml"); strings.Contains(out, "reading") {
		t.Errorf("relevance without being asked:\n%s", out)
	}
}
