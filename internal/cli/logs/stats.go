package logs

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"devicetwin/internal/cli"
	"devicetwin/internal/recordlog"
)

type statsCommand struct {
	Dir    string `arg:"" help:"Folder of a journal (--worker-journal), or of a log (--bridge-log, --worker-log). A process may be writing it."`
	Output string `short:"o" help:"Output format: ${enum}." enum:"table,json" default:"table" env:"-"`

	Temporal struct {
		Keys string `help:"File with the keys, the same as for workers, if it is a journal that is encrypted; a log needs none." placeholder:"FILE"`
	} `embed:"" prefix:"temporal-"`
}

// stats is what is printed.
type stats struct {
	Segments   int                  `json:"segments"`
	Bytes      int64                `json:"bytes"`
	Begin      int64                `json:"begin"`
	End        int64                `json:"end"`
	Records    uint64               `json:"records"`
	First      *time.Time           `json:"first,omitempty"`
	Last       *time.Time           `json:"last,omitempty"`
	Kinds      map[string]kindStats `json:"kinds"`
	Cursors    []cursorStats        `json:"cursors"`
	Damaged    uint64               `json:"damaged"`
	Erased     uint64               `json:"erased"`
	Incomplete int64                `json:"incomplete_bytes"`
	// Keys are those with which segments are encrypted; "" is one in clear.
	Keys []string `json:"keys"`
}

type kindStats struct {
	Records uint64 `json:"records"`
	Bytes   int64  `json:"bytes"`
}

type cursorStats struct {
	Name     string `json:"name"`
	Position int64  `json:"position"`
	Backlog  int64  `json:"backlog_bytes"`
}

// Run reads all of it.
func (c *statsCommand) Run(ctx context.Context, streams cli.Streams) error {
	keys, err := cli.ReadKeys(c.Temporal.Keys)
	if err != nil {
		return err
	}
	if files := journalFiles(c.Dir); len(files) > 0 {
		return journalStats(ctx, files, keys, c.Output, streams.Out)
	}
	s, err := recordlog.Summarize(ctx, c.Dir)
	if err != nil {
		return misnamed(err)
	}
	out := statsOf(s)
	if c.Output == "json" {
		return cli.WriteJSON(streams.Out, out)
	}
	t := tabwriter.NewWriter(streams.Out, 0, 8, 2, ' ', 0)
	out.table(t)
	return t.Flush()
}

func statsOf(s recordlog.Summary) stats {
	out := stats{
		Segments: s.Segments, Bytes: s.Bytes, Begin: s.Begin, End: s.End, Records: s.Records, First: shown(s.First), Last: shown(s.Last),
		Kinds: map[string]kindStats{}, Cursors: []cursorStats{}, Damaged: s.Damaged, Erased: s.Erased, Incomplete: s.Incomplete, Keys: append([]string{}, s.Keys...),
	}
	for kind, k := range s.Kinds {
		out.Kinds[kindName(kind)] = kindStats{k.Records, k.Bytes}
	}
	for _, c := range s.Cursors {
		out.Cursors = append(out.Cursors, cursorStats{c.Name, c.Position, s.Backlog(c)})
	}
	return out
}

func (s stats) table(w io.Writer) {
	line := func(name string, format string, values ...any) {
		fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, values...)...)
	}
	line("segments", "%d", s.Segments)
	line("bytes", "%d", s.Bytes)
	line("positions", "%d to %d", s.Begin, s.End)
	line("records", "%d", s.Records)
	if s.First != nil {
		line("first", "%s", s.First.Format(time.RFC3339Nano))
		line("last", "%s", s.Last.Format(time.RFC3339Nano))
	}
	line("damaged places", "%d", s.Damaged)
	line("erased records", "%d", s.Erased)
	line("incomplete bytes", "%d", s.Incomplete)
	line("encrypted", "%s", s.encryption())
	fmt.Fprintln(w, "\nKIND\tRECORDS\tBYTES")
	for _, name := range slices.Sorted(maps.Keys(s.Kinds)) {
		fmt.Fprintf(w, "%s\t%d\t%d\n", name, s.Kinds[name].Records, s.Kinds[name].Bytes)
	}
	if len(s.Cursors) > 0 {
		fmt.Fprintln(w, "\nREADER\tPOSITION\tBACKLOG")
	}
	for _, c := range s.Cursors {
		fmt.Fprintf(w, "%s\t%d\t%d\n", c.Name, c.Position, c.Backlog)
	}
}

// encryption says with which keys segments are encrypted.
func (s stats) encryption() string {
	keys := slices.DeleteFunc(slices.Clone(s.Keys), func(key string) bool { return key == "" })
	switch {
	case len(keys) == 0:
		return "no"
	case len(keys) < len(s.Keys):
		return "in part, with " + strings.Join(keys, ", ")
	}
	return "with " + strings.Join(keys, ", ")
}
