package main

import (
	"fmt"
	"regexp"
	"strings"
)

var inDocuments = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// runbook is what docs/operations.md says about each rule, next to the panels that it is
// about: who is woken has Grafana open, not this repository.
func runbook(operations string) (*dashboard, error) {
	d := newDashboard("runbook", "Runbook", "What to do when an alert fires, from docs/operations.md.", "now-1h")
	d.Refresh = ""
	for _, r := range rules() {
		_, section, found := strings.Cut(operations, "\n### "+r.Title+"\n")
		if !found {
			return nil, fmt.Errorf("docs/operations.md does not say what to do for the alert %q", r.Title)
		}
		for _, next := range []string{"\n## ", "\n### "} {
			section, _, _ = strings.Cut(section, next)
		}
		p := newPanel("text", gridWidth, r.Title, "short", "", nil)
		p.Datasource = nil
		p.Options = map[string]any{"mode": "markdown", "content": inDocuments.ReplaceAllString(strings.TrimSpace(section), "$1")}
		d.row(7, p)
	}
	return d, nil
}
