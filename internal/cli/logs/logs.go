// Package logs is the commands that read a journal, or the log of a bridge or of a worker.
package logs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/signal"
	"syscall"
	"time"

	"devicetwin/internal/cli"
	"devicetwin/internal/recordlog"
)

// Command is "devicetwin journal", and "devicetwin log", which is what it was called first.
type Command struct {
	Devices devicesCommand `cmd:"" help:"List the devices of which there is something."`
	Tail    tailCommand    `cmd:"" help:"Print the newest entries or records, as JSON lines, and follow what is written."`
	Export  exportCommand  `cmd:"" help:"Print all entries or records in order, as JSON lines."`
	Stats   statsCommand   `cmd:"" help:"Show how much there is: entries or records, times, and of a log how far its readers are."`
}

// query is what a command prints of which log.
type query struct {
	Dir string `arg:"" help:"Folder of a journal (--worker-journal), or of a log (--bridge-log, --worker-log). A process may be writing it."`

	Temporal struct {
		Keys string `help:"File with the keys, the same as for bridge and worker, if the log is encrypted." placeholder:"FILE"`
	} `embed:"" prefix:"temporal-"`

	filter
}

// open checks the filter, and opens the log.
func (q query) open() (*recordlog.Reader, *matcher, error) {
	m, err := q.matcher(time.Now())
	if err != nil {
		return nil, nil, cli.Usage(err)
	}
	keys, err := cli.ReadKeys(q.Temporal.Keys)
	if err != nil {
		return nil, nil, err
	}
	r, err := recordlog.OpenReader(q.Dir, keys)
	return r, m, misnamed(err)
}

// misnamed marks the error of a folder that holds no log as one of usage.
func misnamed(err error) error {
	if errors.Is(err, recordlog.ErrNoLog) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return cli.Usage(err)
	}
	return err
}

type exportCommand struct{ query }

// Run prints what was in the log when it began.
func (c *exportCommand) Run(ctx context.Context, streams cli.Streams) error {
	if in, err := c.journal(); in != nil || err != nil {
		if err != nil {
			return err
		}
		return in.export(ctx, streams)
	}
	r, matcher, err := c.open()
	if err != nil {
		return err
	}
	defer r.Close()
	out := newPrinter(streams.Out)
	p := newProgress(streams.Err, r)
	defer p.end()
	for ctx.Err() == nil {
		e, ok, err := r.TryNext()
		if err != nil {
			return errors.Join(err, out.flush())
		}
		if !ok || e.Start >= p.end0 {
			return out.ended(r, streams.Err)
		}
		if err := out.all(matcher.lines(e)); err != nil {
			return unlessBroken(err)
		}
		p.at(e)
	}
	return errors.Join(unlessBroken(out.flush()), fmt.Errorf("export log %s: interrupted at position %d", c.Dir, r.Position()))
}

type tailCommand struct {
	query
	Lines  int  `short:"n" env:"-" help:"How many of the newest lines to print." default:"10"`
	Follow bool `short:"f" env:"-" help:"Go on with what is appended, until Ctrl-C."`
}

// Run prints the newest lines, and waits for more if it is asked to.
func (c *tailCommand) Run(ctx context.Context, streams cli.Streams) error {
	if c.Lines < 0 {
		return cli.Usage(fmt.Errorf("-n %d: expected 0 or more", c.Lines))
	}
	if in, err := c.journal(); in != nil || err != nil {
		if err != nil {
			return err
		}
		return in.tail(ctx, c.Dir, c.Lines, c.Follow, streams)
	}
	r, matcher, err := c.open()
	if err != nil {
		return err
	}
	defer r.Close()
	out := newPrinter(streams.Out)
	newest, err := newestLines(ctx, r, matcher, c.Lines)
	if err == nil {
		err = out.all(newest)
	}
	if err != nil {
		return unlessBroken(err)
	}
	if c.Follow {
		err = out.follow(ctx, r, matcher)
	}
	if err != nil && ctx.Err() == nil {
		return unlessBroken(err)
	}
	return out.ended(r, streams.Err)
}

// newestLines returns the last n lines that match, and leaves the reader at the end. It
// reads segments backwards until there are enough.
func newestLines(ctx context.Context, r *recordlog.Reader, m *matcher, n int) (newest []any, err error) {
	segments := r.Segments()
	end, until := int64(0), int64(-1) // of the log; of the segment, or -1: that of the log
	for i := len(segments) - 1; i >= 0 && (len(newest) < n || until < 0); i-- {
		var lines []any
		for r.Move(segments[i]); until < 0 || r.Position() < until; {
			e, ok, err := r.TryNext()
			if err != nil {
				return nil, err
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if !ok || until >= 0 && e.Start >= until {
				break
			}
			lines = append(lines, m.lines(e)...)
			if extra := len(lines) - (n - len(newest)); extra > 0 {
				lines = lines[extra:]
			}
		}
		end = max(end, r.Position())
		newest, until = append(lines, newest...), segments[i]
	}
	r.Move(end)
	return newest, nil
}

// printer writes JSON lines.
type printer struct {
	buffer *bufio.Writer
	json   *json.Encoder
}

func newPrinter(w io.Writer) *printer {
	// A pipe that is closed becomes an error of writing, and does not end the process.
	signal.Ignore(syscall.SIGPIPE)
	buffer := bufio.NewWriterSize(w, 64<<10)
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	return &printer{buffer, encoder}
}

func (p *printer) all(lines []any) error {
	for _, line := range lines {
		if err := p.json.Encode(line); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	return nil
}

func (p *printer) flush() error {
	if err := p.buffer.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// follow prints what is appended.
func (p *printer) follow(ctx context.Context, r *recordlog.Reader, m *matcher) error {
	for {
		e, ok, err := r.TryNext()
		if err == nil && !ok {
			if err = p.flush(); err == nil {
				e, err = r.Next(ctx)
			}
		}
		if err == nil {
			err = p.all(m.lines(e))
		}
		if err != nil {
			return err
		}
	}
}

// ended flushes, and says what could not be read.
func (p *printer) ended(r *recordlog.Reader, complaints io.Writer) error {
	if err := p.flush(); err != nil {
		return unlessBroken(err)
	}
	if n := r.Damaged(); n > 0 {
		fmt.Fprintf(complaints, "%s in the log could not be read and %s skipped.\n", cli.Count(n, "place"), was(n))
	}
	if n := r.Removed(); n > 0 {
		fmt.Fprintf(complaints, "%d bytes were removed from the log before they were read.\n", n)
	}
	return nil
}

func was(n uint64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// unlessBroken is nil for an error that means that whoever reads the output has enough.
func unlessBroken(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// progress shows on a terminal how far a long export is.
type progress struct {
	out     io.Writer // nil: there is no terminal
	begin   int64
	end0    int64 // of the log when the export began
	began   time.Time
	drawn   time.Time
	records int
}

const (
	progressAfter = 2 * time.Second
	progressEvery = 500 * time.Millisecond
)

func newProgress(w io.Writer, r *recordlog.Reader) *progress {
	p := &progress{end0: r.End(), began: time.Now()}
	if all := r.Segments(); len(all) > 0 {
		p.begin = all[0]
	}
	if cli.IsTerminal(w) {
		p.out = w
	}
	return p
}

func (p *progress) at(e recordlog.Entry) {
	p.records++
	if p.out == nil || p.records%1024 != 0 {
		return
	}
	now := time.Now()
	if now.Sub(p.began) < progressAfter || now.Sub(p.drawn) < progressEvery {
		return
	}
	p.drawn = now
	fmt.Fprintf(p.out, "\r%3d %%, %d records\x1b[K", 100*(e.End-p.begin)/max(1, p.end0-p.begin), p.records)
}

func (p *progress) end() {
	if !p.drawn.IsZero() {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
