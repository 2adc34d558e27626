package ingest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

var update = flag.Bool("update", false, "write what the core does into testdata/*.txt")

// TestTranscripts plays testdata/*.txt: inputs of the core, each with what it then
// wants to have done. After a blank line or a comment, a line is an input, and the
// indented lines below it are the outputs:
//
//	config KEY=VALUE ...      before anything else: window, batch, signals, stuck, liveness
//	open LANE                 a connection of a lane; each lane is a stream of its own
//	close LANE
//	LANE hot|cold|bad DEVICE ID [again]
//	                          a message arrives: one that matters to the model, one that
//	                          does not, one that cannot be read
//	accept|fail|refuse|none DEVICE
//	                          the result of its delivery: accepted, failed for now, refused
//	                          permanently, no workflow
//	wait DURATION             time passes, in steps at which the core has something to do
//	published                 the dead letters that wait are published
//	stop                      the process is about to end
//
// A device whose place changes is an output too.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, have := strings.Split(string(text), "\n"), strings.Split(got, "\n")
			for i := range max(len(want), len(have)) {
				if i >= len(want) || i >= len(have) || want[i] != have[i] {
					t.Fatalf("line %d differs; the core did\n%s", i+1, strings.Join(have[max(0, i-3):min(len(have), i+8)], "\n"))
				}
			}
		})
	}
}

// transcript is a core, and what was written of it.
type transcript struct {
	t      *testing.T
	b      *bench
	model  testModel
	cfg    Config
	lanes  map[string]*Lane
	places map[device.ID]place
	told   struct{ signals, letters, answers int }
	out    strings.Builder
}

func play(t *testing.T, text string) string {
	tr := &transcript{t: t, cfg: DefaultConfig(), lanes: map[string]*Lane{}, places: map[device.ID]place{}}
	tr.cfg.QuotaRate = 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "\t") {
			continue // an output
		}
		tr.out.WriteString(line)
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] != "#" {
			tr.input(fields)
		}
	}
	return tr.out.String()
}

func (tr *transcript) input(fields []string) {
	if fields[0] == "config" {
		tr.configure(fields[1:])
		return
	}
	if tr.b == nil {
		tr.b = newBench(tr.cfg, tr.model)
		tr.b.close(tr.b.w, tr.b.now) // lanes are opened by name
		tr.b.out.publishes = true
	}
	b := tr.b
	switch fields[0] {
	case "open":
		tr.lanes[fields[1]] = b.lane(fields[1])
	case "close":
		b.close(tr.lanes[fields[1]], b.now)
		delete(tr.lanes, fields[1])
	case "accept", "fail", "refuse", "none":
		if d := b.devices.byID[device.ID(fields[1])]; d == nil || d.place != inFlight {
			tr.t.Fatalf("%s: nothing is in flight, after\n%s", strings.Join(fields, " "), tr.out.String())
		}
		b.signalled(fields[1], map[string]error{"fail": errDown, "refuse": errPermanent, "none": device.ErrNoTwin}[fields[0]], b.now)
	case "wait":
		tr.wait(fields[1])
	case "published":
		for _, e := range b.out.waiting {
			b.published(e)
		}
		b.out.waiting = nil
	case "stop":
		b.hurry(b.now)
	default:
		tr.arrive(fields)
	}
	tr.report()
}

func (tr *transcript) configure(settings []string) {
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		n, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch key {
		case "window":
			tr.cfg.Window = n
		case "batch":
			tr.cfg.BatchMessages = n
		case "signals":
			tr.cfg.SignalsInFlight = n
		case "stuck":
			tr.cfg.StuckAfter = d
		case "liveness":
			tr.model = testModel{silentAfter: 5 * d, tolerance: d}
		default:
			tr.t.Fatalf("setting %q", s)
		}
	}
}

// arrive is LANE hot|cold|bad DEVICE ID [again].
func (tr *transcript) arrive(fields []string) {
	lane, ok := tr.lanes[fields[0]]
	if !ok || len(fields) < 4 {
		tr.t.Fatalf("input %q", strings.Join(fields, " "))
	}
	if tr.b.full(lane) {
		fmt.Fprintf(&tr.out, "\tlane %s is full: it waits\n", fields[0])
		return
	}
	id := fields[3]
	payload := map[string]string{"hot": `{"hot":1,"id":"%s"}`, "cold": `{"id":"%s"}`, "bad": `{"id":"%s"`}[fields[1]]
	tr.b.receive(lane, "devices/"+fields[2]+"/telemetry", Arrival{
		Payload: fmt.Appendf(nil, payload, id), Again: slices.Contains(fields, "again"), At: tr.b.now,
		Ack: func() { fmt.Fprintf(&tr.out, "\tacknowledge %s on %s\n", id, fields[0]) },
	})
}

func (tr *transcript) wait(text string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		tr.t.Fatal(err)
	}
	for end := tr.b.now.Add(d); ; {
		at, ok := tr.b.next()
		if !ok || at.After(end) {
			tr.b.now = end
			return
		}
		tr.b.now = at
		before := len(tr.b.out.signals)
		tr.b.elapsed(tr.b.now)
		if len(tr.b.out.signals) > before {
			fmt.Fprintf(&tr.out, "\tafter %v:\n", d-end.Sub(at))
		}
		tr.report()
	}
}

// report writes what has happened since the last time.
func (tr *transcript) report() {
	b := tr.b
	for ; tr.told.signals < len(b.out.signals); tr.told.signals++ {
		s := b.out.signals[tr.told.signals]
		what := s.ids()
		if what == "" {
			what = "nothing, to find out whether it is accepted"
		}
		fmt.Fprintf(&tr.out, "\tdeliver to %s, batch %s: %s\n", s.device, strings.TrimPrefix(s.batch.ID, "-"), what)
	}
	for ; tr.told.letters < len(b.out.letters); tr.told.letters++ {
		l := b.out.letters[tr.told.letters]
		fmt.Fprintf(&tr.out, "\tdead letter %s: %s\n", l.Payload, l.Error())
	}
	for _, l := range b.lanes {
		for _, ack := range l.outbox {
			ack()
		}
		l.outbox = nil
	}
	var moved []string
	for id, d := range b.devices.byID {
		if was := tr.places[id]; was != d.place {
			moved = append(moved, fmt.Sprintf("\t%s: %s -> %s\n", id, was, d.place))
			tr.places[id] = d.place
		}
	}
	slices.Sort(moved)
	tr.out.WriteString(strings.Join(moved, ""))
}
