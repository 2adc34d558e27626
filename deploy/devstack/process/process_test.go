package process

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A process that ends unexpectedly is distinguished from one that was ended.
func TestProcess(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := New(t.TempDir(), "part", SaidReady, func() *exec.Cmd {
		c := exec.Command(sh, "-c", "echo '# ready'; read line")
		c.Stdin = r
		return c
	})
	for range 2 {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(p.Pause(), p.Resume(), p.Crashed()); err != nil {
			t.Error(err)
		}
		p.Kill()
		if err := p.Crashed(); err != nil || !p.Over() {
			t.Errorf("after the kill: over is %v, %v", p.Over(), err)
		}
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Close()
	<-p.Ended()
	if err := p.Crashed(); err == nil || !strings.Contains(err.Error(), "# ready") {
		t.Errorf("a process that ended unexpectedly: %v", err)
	}
	ending := New(t.TempDir(), "part", SaidReady, func() *exec.Cmd {
		return exec.Command(sh, "-c", "trap 'exit 0' TERM; echo '# ready'; while :; do :; done")
	})
	if err := ending.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ending.Stop(), ending.Crashed()); err != nil {
		t.Errorf("a process that was stopped: %v", err)
	}
	failing := New(t.TempDir(), "part", SaidReady, func() *exec.Cmd {
		return exec.Command(sh, "-c", "echo no port >&2; exit 3")
	})
	if err := failing.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "no port") {
		t.Errorf("a process that does not start: %v", err)
	}
	(&Process{}).Kill() // was never started
}

// The processor time that was used is reported where the system reports it.
func TestOwnCPU(t *testing.T) {
	before, ok := OwnCPU()
	if !ok {
		t.Skip("this system does not report processor times")
	}
	began := time.Now()
	for n := 0; ; n++ {
		if now, _ := OwnCPU(); now > before {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%v of work took no time", time.Since(began))
		}
	}
}
