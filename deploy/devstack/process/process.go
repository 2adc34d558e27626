package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startPatience = time.Minute
	readyEvery    = 50 * time.Millisecond
)

// Process is a program that can be ended and started again. Its methods belong to
// one goroutine, except Crashed, Over and CPU.
type Process struct {
	Name    string
	Log     string           // file that all its lives write to
	Command func() *exec.Cmd // one for each life
	// Ready is asked until it returns nil.
	Ready func(context.Context, *Process) error

	cmd   *exec.Cmd
	began int64         // where the log of this life begins
	ended chan struct{} // closed when it has ended, for whatever reason
	err   error         // valid then
	meant atomic.Bool   // Kill or Stop ended it
}

// New prepares a process whose log is in a folder.
func New(dir, name string, ready func(context.Context, *Process) error, command func() *exec.Cmd) *Process {
	return &Process{Name: name, Log: filepath.Join(dir, name+".log"), Command: command, Ready: ready}
}

// SaidReady is for processes that print a line "# ready", as devstack serve does.
func SaidReady(_ context.Context, p *Process) error {
	if !slices.Contains(strings.Split(p.Said(), "\n"), "# ready") {
		return errors.New("it has not printed \"# ready\"")
	}
	return nil
}

// Start returns when the process is ready.
func (p *Process) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	return p.AwaitReady(ctx)
}

// Launch starts the process and does not wait.
func (p *Process) Launch() error {
	file, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if p.began, err = file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	cmd, ended := p.Command(), make(chan struct{})
	cmd.Stdout, cmd.Stderr = file, file
	setApart(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.ended = cmd, ended
	p.meant.Store(false)
	go func() {
		p.err = cmd.Wait()
		close(ended)
	}()
	return nil
}

// AwaitReady returns when the process is ready; an error if it ends, or takes a
// minute.
func (p *Process) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	var missing error
	err := Poll(ctx, readyEvery, func(ctx context.Context) (ready bool, err error) {
		if missing = p.Ready(ctx, p); missing != nil && p.Over() {
			return false, p.unexpectedEnd()
		}
		return missing == nil, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s is not ready: %w; it said:\n%s", p.Name, missing, p.LastWords())
	}
	return err
}

// Kill is kill -9; it returns when the process is gone.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	p.meant.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stopPatience is more than a bridge or a worker takes to end gracefully.
const stopPatience = 30 * time.Second

// Stop sends SIGTERM, and returns when the process has ended; an error unless its
// exit status is 0.
func (p *Process) Stop() error { return p.StopBy(syscall.SIGTERM) }

// StopBy is Stop with another signal.
func (p *Process) StopBy(signal os.Signal) error {
	p.meant.Store(true)
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(stopPatience):
		return fmt.Errorf("%s did not end within %v after the signal to stop; it said:\n%s", p.Name, stopPatience, p.LastWords())
	}
	if p.err != nil {
		return fmt.Errorf("%s failed when it was told to stop (%w); it said:\n%s", p.Name, p.err, p.LastWords())
	}
	return nil
}

// Pause suspends the process until Resume.
func (p *Process) Pause() error {
	if err := suspend(p.cmd.Process); err != nil {
		return fmt.Errorf("pause %s: %w", p.Name, err)
	}
	return nil
}

// Resume ends a Pause.
func (p *Process) Resume() error {
	if err := proceed(p.cmd.Process); err != nil {
		return fmt.Errorf("resume %s: %w", p.Name, err)
	}
	return nil
}

// PID is the number of the present life.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the present life has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Over reports whether the process has ended.
func (p *Process) Over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Crashed is an error if the process has ended, and neither Kill nor Stop did it.
func (p *Process) Crashed() error {
	if p.cmd == nil || p.meant.Load() || !p.Over() {
		return nil
	}
	return p.unexpectedEnd()
}

func (p *Process) unexpectedEnd() error {
	return fmt.Errorf("%s ended unexpectedly (%w); it said:\n%s", p.Name, p.Fate(), p.LastWords())
}

// Wait returns when the present life has ended: nil if its exit status is 0.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// Fate is how the process ended, as an error also if its exit status is 0.
func (p *Process) Fate() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// CPU is the processor time that the process has used; ok is false where the
// system does not report it.
func (p *Process) CPU() (used time.Duration, ok bool) {
	if p.cmd == nil || p.Over() {
		return 0, false
	}
	return cpuOf(p.cmd.Process.Pid)
}

// Said is what the present life has written.
func (p *Process) Said() string {
	file, err := os.Open(p.Log)
	if err != nil {
		return ""
	}
	defer file.Close()
	raw, _ := io.ReadAll(io.NewSectionReader(file, p.began, 1<<20))
	return string(raw)
}

// LastWords is the end of what it has written.
func (p *Process) LastWords() string {
	const most = 2000
	text := p.Said()
	return text[max(0, len(text)-most):]
}

// OwnCPU is the processor time of this process.
func OwnCPU() (used time.Duration, ok bool) { return cpuOf(os.Getpid()) }
