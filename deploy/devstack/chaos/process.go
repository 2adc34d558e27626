package chaos

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startPatience = time.Minute
	readyEvery    = 50 * time.Millisecond
)

// process is a part that can be ended and started again. Its methods belong to
// one goroutine, but for crashed.
type process struct {
	name    string
	log     string // file that all its lives write to
	command func() *exec.Cmd
	// ready is asked until it returns nil.
	ready func(context.Context, *process) error

	cmd   *exec.Cmd
	began int64         // where the log of this life begins
	ended chan struct{} // closed when it has ended, for whatever reason
	err   error         // valid then
	meant atomic.Bool   // it was ended on purpose
}

func newProcess(dir, name string, ready func(context.Context, *process) error, command func() *exec.Cmd) *process {
	return &process{name: name, log: filepath.Join(dir, name+".log"), command: command, ready: ready}
}

// start returns when the process is ready.
func (p *process) start(ctx context.Context) error {
	if err := p.launch(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return p.awaitReady(ctx)
}

func (p *process) launch() error {
	file, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if p.began, err = file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	cmd, ended := p.command(), make(chan struct{})
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

func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := p.ready(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended by itself (%w); it said:\n%s", p.name, p.fate(), p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; it said:\n%s", p.name, err, p.lastWords())
		case <-time.After(readyEvery):
		}
	}
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.meant.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stopPatience is more than a bridge or a worker takes to end gracefully.
const stopPatience = 30 * time.Second

// stop tells the process to end, and returns when it has, as it should.
func (p *process) stop() error {
	p.meant.Store(true)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(stopPatience):
		return fmt.Errorf("%s did not end within %v of being told to; it said:\n%s", p.name, stopPatience, p.lastWords())
	}
	if p.err != nil {
		return fmt.Errorf("%s ended badly when it was told to (%w); it said:\n%s", p.name, p.err, p.lastWords())
	}
	return nil
}

func (p *process) pause() error {
	if err := suspend(p.cmd.Process); err != nil {
		return fmt.Errorf("pause %s: %w", p.name, err)
	}
	return nil
}

func (p *process) resume() error {
	if err := proceed(p.cmd.Process); err != nil {
		return fmt.Errorf("resume %s: %w", p.name, err)
	}
	return nil
}

// over reports whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// crashed says that the process has ended by itself.
func (p *process) crashed() error {
	if p.cmd == nil || p.meant.Load() || !p.over() {
		return nil
	}
	return fmt.Errorf("%s ended by itself (%w); it said:\n%s", p.name, p.fate(), p.lastWords())
}

// fate is how the process ended.
func (p *process) fate() error {
	if p.err == nil {
		return fmt.Errorf("exit status 0")
	}
	return p.err
}

// said is what the present life has written.
func (p *process) said() string {
	file, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer file.Close()
	raw, _ := io.ReadAll(io.NewSectionReader(file, p.began, 1<<20))
	return string(raw)
}

// lastWords is the end of what it has written.
func (p *process) lastWords() string {
	const most = 2000
	text := p.said()
	return text[max(0, len(text)-most):]
}
