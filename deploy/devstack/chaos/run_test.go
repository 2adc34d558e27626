package chaos

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"devicetwin/deploy/devstack/process"
)

// Cases that run in parallel keep their order in the report, and their progress has
// their names.
func TestRunSideBySide(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	// Two first servers run at the same time, and end; nothing else is started.
	var both sync.WaitGroup
	both.Add(2)
	program := func(string, ...string) *exec.Cmd {
		both.Done()
		both.Wait()
		return exec.Command(sh, "-c", "echo no room >&2; exit 1")
	}
	cases, err := Choice{Only: []string{"kill-bridge", "pause-worker"}, Brokers: []process.BrokerKind{process.NATS}, Short: true}.Cases()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	report, err := Run(t.Context(), Options{Program: program, Cases: cases, Dir: t.TempDir(), Out: &out, Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Outcomes) != 2 || report.Outcomes[0].Fault != "kill-bridge" || report.Outcomes[1].Fault != "pause-worker" {
		t.Fatalf("the report is %+v", report)
	}
	for _, o := range report.Outcomes {
		if o.Clean || !strings.Contains(o.Error, "no room") {
			t.Errorf("%s: %+v", o.Fault, o)
		}
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, " s  ") && !strings.Contains(line, "kill-bridge-nats ") && !strings.Contains(line, "pause-worker-nats ") {
			t.Errorf("whose line is this: %s", line)
		}
	}
}

// A run that is ended leaves neither processes nor files.
func TestRunEnds(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep")
	}
	dir := t.TempDir()
	var mutex sync.Mutex
	var started []*exec.Cmd
	ctx, cancel := context.WithCancel(t.Context())
	program := func(string, ...string) *exec.Cmd {
		mutex.Lock()
		defer mutex.Unlock()
		cmd := exec.Command(sleep, "600")
		if started = append(started, cmd); len(started) == 2 {
			cancel() // Ctrl-C while the first servers of two cases start
		}
		return cmd
	}
	cases, err := Choice{Only: []string{"kill-bridge", "kill-worker", "kill-broker"}, Brokers: []process.BrokerKind{process.NATS}, Short: true}.Cases()
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(ctx, Options{Program: program, Cases: cases, Dir: dir, Jobs: 2})
	if !errors.Is(err, context.Canceled) || len(report.Outcomes) != 0 {
		t.Errorf("error is %v, and the report %+v", err, report)
	}
	for _, cmd := range started {
		if cmd.ProcessState == nil {
			t.Error("a process still runs")
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 || len(started) != 2 {
		t.Errorf("%d processes were started, and %v is left", len(started), left)
	}
}
