package chaos

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"devicetwin/deploy/devstack/process"
)

// A process on a small disk gets an error from the system when its disk is full, and
// continues when there is room.
func TestSmallDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("small disks need Linux")
	}
	dir := t.TempDir()
	disk := smallDisk{filepath.Join(dir, "small")}
	if err := os.Mkdir(disk.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// It tries to write whenever it is asked to.
	const script = `echo '# ready'; while read line; do if head -c 100000 /dev/zero >>"$1/file"; then echo took; else echo full; fi; done`
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	p := process.New(dir, "part", process.SaidReady, func() *exec.Cmd {
		cmd := disk.wrap(exec.Command("/bin/sh", "-c", script, "sh", disk.dir))
		cmd.Stdin = r
		return cmd
	})
	defer p.Kill()
	if err := p.Start(t.Context()); err != nil {
		if strings.Contains(err.Error(), "not permitted") || errors.Is(err, exec.ErrNotFound) {
			t.Skipf("this machine makes no small disks: %v", err)
		}
		t.Fatal(err)
	}
	ask := func(want string) {
		t.Helper()
		before := len(p.Said())
		if _, err := w.WriteString("go\n"); err != nil {
			t.Fatal(err)
		}
		p.Ready = func(context.Context, *process.Process) error {
			if said := p.Said()[before:]; !strings.Contains(said, "took\n") && !strings.Contains(said, "full\n") {
				return errors.New("no answer")
			}
			return nil
		}
		if err := p.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if said := p.Said()[before:]; !strings.Contains(said, want) {
			t.Errorf("it said %q; want %q", said, want)
		}
	}
	ask("took")
	if err := disk.fill(p); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(disk.dir, "ballast")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("others see the small disk: %v", err)
	}
	ask("full")
	if err := disk.free(p); err != nil {
		t.Fatal(err)
	}
	ask("took")
	if err := disk.free(p); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("freed twice: %v", err)
	}
}
