package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/service"
)

// story is docs/change.md, whose commands that move devices are run here; the others are run by
// TestDocumentedChange of internal/cli/model.
type story struct {
	*published
	text string
}

var storyFences = regexp.MustCompile("(?s)```(text|yaml [^\n]+)\n(.*?)```\n")

// block is a part of the page by the line of its fence.
func (s *story) block(fence string) string {
	s.Helper()
	for _, b := range storyFences.FindAllStringSubmatch(s.text, -1) {
		if b[1] == fence {
			return b[2]
		}
	}
	s.Fatalf("docs/change.md has no block %q", fence)
	return ""
}

// plan is the plan of the page, filled in.
func (s *story) plan(old, new string) string {
	s.Helper()
	out, err := program(s.T, "devicetwin", "model", "plan", old, new).Output() // it reports holes on stderr
	if len(out) == 0 {
		s.Fatalf("model plan: %v", err)
	}
	text := string(out)
	for line := range strings.Lines(s.block("yaml filled in")) {
		key, _, _ := strings.Cut(line, ": ")
		hole := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(key) + ": # FILL IN.*\n")
		if !hole.MatchString(text) {
			s.Fatalf("the plan has no hole %q:\n%s", key, text)
		}
		text = hole.ReplaceAllLiteralString(text, line)
	}
	return s.file("plan.yaml", text)
}

var (
	storyID    = regexp.MustCompile(`\b[0-9a-f]{20}\b`)
	storyTime  = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ?`)
	storyPump  = regexp.MustCompile(`pump-\d\b`)
	storyGoing = regexp.MustCompile(`(?m)^(announced|moving).*\n`)
	storySpace = regexp.MustCompile(` {2,}`)
)

// likeAnyOther has no ids and times, and nothing of how far a migration had come at some moment.
func likeAnyOther(text string) string {
	text = storyGoing.ReplaceAllString(text, "")
	text = storyPump.ReplaceAllString(storyTime.ReplaceAllString(storyID.ReplaceAllString(text, "ID"), "TIME"), "pump-N")
	return storySpace.ReplaceAllString(text, "  ")
}

// The fleet of docs/change.md is asked what the plan would do, and moved, by the commands of the page:
// what they print is what the page says.
func TestTheStoryOfAChange(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(root + "/docs/change.md")
	if err != nil {
		t.Fatal(err)
	}
	s := &story{published: startPublished(t, ""), text: string(raw)}
	old, new := s.file("pump-1.yaml", s.block("yaml pump-1.yaml")), s.file("pump-2.yaml", s.block("yaml pump-2.yaml"))
	plan := s.plan(old, new)
	s.begin("api", service.API, "")
	s.begin("worker", service.Worker, old)
	s.ready("worker")
	s.begin("bridge", service.Bridge, old)
	s.ready("bridge")
	s.commanded("pump@2 (", "push", new, "--note", "hot at 80 degrees")
	s.known("bridge", "worker")
	say := func(id, topic, payload string) {
		d := connect(t, s.servers.MQTT.URL(), id)
		d.publish("devices/"+id+"/"+topic, payload)
		d.disconnect()
	}
	for i := range 4 {
		say(fmt.Sprintf("pump-%d", i+1), "status", `{"status":"boot","site":"north"}`)
	}
	say("elsewhere", "status", `{"status":"boot","site":"south"}`)

	played := 0
	for _, b := range storyFences.FindAllStringSubmatch(s.text, -1) {
		command, want, _ := strings.Cut(b[2], "\n")
		command, ours := strings.CutPrefix(command, "$ devicetwin ")
		if b[1] != "text" || !ours || !strings.HasPrefix(command, "devices migrate ") {
			continue
		}
		played++
		if played == 1 {
			say("pump-4", "telemetry", `{"temperature":95}`) // it is hot for 5 minutes
			eventually(t, "the pumps are found, and one is hot", func(ctx context.Context) bool {
				north, err := s.api.CountDevices(ctx, "site:north")
				d, err2 := s.api.Device(ctx, "pump-4")
				return err == nil && err2 == nil && north.Count == 4 && d.State == "overheated"
			})
		}
		var args []string
		for n, part := range strings.Split(command, `"`) {
			if n%2 == 1 {
				args = append(args, part)
				continue
			}
			args = append(args, strings.Fields(strings.ReplaceAll(part, "plan.yaml", filepath.ToSlash(plan)))...)
		}
		cmd := program(t, "devicetwin", args...)
		cmd.Env = append(cmd.Env, "DEVICETWIN_API_URL="+s.url)
		out, err := cmd.CombinedOutput()
		if err != nil || likeAnyOther(string(out)) != likeAnyOther(want) {
			t.Errorf("$ devicetwin %s\n%v\n%s\nthe page says\n%s", command, err, out, want)
		}
	}
	if played != 2 {
		t.Errorf("%d commands of docs/change.md were run, want 2", played)
	}
	second, err := s.api.ModelVersion(t.Context(), "pump", "2")
	if err != nil {
		t.Fatal(err)
	}
	for id, state := range map[device.ID]string{"pump-1": "online", "pump-4": "hot"} {
		d, err := s.api.Device(t.Context(), id)
		if err != nil || d.State != state || d.ModelHash != second.Hash {
			t.Errorf("%s is %s in model %.12s (%v), want %s in %.12s", id, d.State, d.ModelHash, err, state, second.Hash)
		}
	}
	if d, err := s.api.Device(t.Context(), "elsewhere"); err != nil || d.ModelHash == second.Hash {
		t.Errorf("the pump that was not asked for runs model %.12s, %v", d.ModelHash, err)
	}
}
