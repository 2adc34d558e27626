package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"devicetwin/deploy/devstack/chaos"
	"devicetwin/deploy/devstack/process"
)

// earlierCommit is the last one without a log: its bridges and workers keep points in
// spools.
const earlierCommit = "b1623ecb43bb52fcc0da4429bfdbbb4f3d082f63"

// earlierVariable names a program of that commit, where it cannot be built.
const earlierVariable = "DEVICETWIN_EARLIER"

// Workers and bridges of an earlier version are replaced one after the other under load,
// in both ways to acknowledge; what waits in their spools is written.
func TestRollingUpgrade(t *testing.T) {
	choice := func(ack process.Ack, broker process.BrokerKind) chaos.Choice {
		return chaos.Choice{Only: []string{"upgrade"}, Influx: chaos.Influx1, Ack: ack, Brokers: []process.BrokerKind{broker}, Upgrade: true}
	}
	all := brokers(t)
	runChaos(t, chaos.Options{Earlier: earlierProgram(t)}, choice(process.Accepted, all[0]), choice(process.Logged, all[len(all)-1]))
}

// earlierProgram builds devicetwin of the earlier commit. A clone without its history does
// not have that.
func earlierProgram(t *testing.T) process.Program {
	t.Helper()
	file := os.Getenv(earlierVariable)
	if file == "" {
		file = filepath.Join(t.TempDir(), "devicetwin")
		if err := buildEarlier(t, file); err != nil {
			t.Skipf("NO UPGRADE IS TESTED: %v. Run make upgrade in a clone with its history, or name a program of that commit in %s.", err, earlierVariable)
		}
	}
	return func(_ string, args ...string) *exec.Cmd { return exec.Command(file, args...) }
}

var errNoHistory = errors.New("this clone does not have commit " + earlierCommit)

func buildEarlier(t *testing.T, file string) error {
	t.Helper()
	git := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = root
		return cmd
	}
	if git("cat-file", "-e", earlierCommit+"^{commit}").Run() != nil {
		return errNoHistory
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	if out, err := git("archive", "--output", archive, earlierCommit).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %w: %s", errNoHistory, err, out)
	}
	for _, command := range [][]string{{"tar", "-xf", archive}, {"go", "build", "-buildvcs=false", "-o", file, "./cmd/devicetwin"}} {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build commit %s: %v: %v\n%s", earlierCommit, command, err, out)
		}
	}
	return nil
}
