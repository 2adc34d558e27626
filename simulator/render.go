package simulator

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// lineEvery is how often progress is printed where it cannot be redrawn.
const lineEvery = 5 * time.Second

// Renderer shows Progress to people: redrawn in place on a terminal, a line
// every five seconds elsewhere. Its methods may be called from several goroutines;
// Options.Progress may be its Show.
type Renderer struct {
	mutex    sync.Mutex
	w        io.Writer
	terminal bool
	drawn    int // lines that are on the terminal
	told     time.Duration
	phase    Phase
	over     time.Time // when the fleet has run; zero before the first Progress
}

// NewRenderer writes to w. Failures to write are not reported: progress is a
// courtesy.
func NewRenderer(w io.Writer, terminal bool) *Renderer {
	return &Renderer{w: w, terminal: terminal, told: -lineEvery}
}

// Show shows the progress.
func (r *Renderer) Show(p Progress) { r.show(p.Phase, p.Elapsed, p.Planned, progressLines(p)) }

// ShowEntities is Show of a run of entities.
func (r *Renderer) ShowEntities(p EntityProgress) { r.show(p.Phase, p.Elapsed, p.Planned, p.lines()) }

func (r *Renderer) show(phase Phase, elapsed, planned time.Duration, lines []string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.over = time.Now().Add(planned - elapsed)
	if r.terminal {
		r.phase = phase
		r.redraw(lines)
		return
	}
	if phase == r.phase && elapsed-r.told < lineEvery {
		return
	}
	r.phase, r.told = phase, elapsed
	fmt.Fprintln(r.w, strings.Join(lines, "  "))
}

// Note writes a line above the picture. After the run of the fleet there are none: what is said then
// is of devices that say goodbye.
func (r *Renderer) Note(line string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.phase == PhaseSettling || r.phase == PhaseVerifying || !r.over.IsZero() && !time.Now().Before(r.over) {
		return
	}
	if r.drawn > 0 {
		fmt.Fprintf(r.w, "\x1b[%dA\r\x1b[J", r.drawn) // the next picture is drawn below the line
		r.drawn = 0
	}
	fmt.Fprintln(r.w, line)
}

// Done leaves the last picture standing.
func (r *Renderer) Done() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.drawn = 0
}

func (r *Renderer) redraw(lines []string) {
	var b strings.Builder
	if r.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", r.drawn) // up to the first line of the last picture
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "\r\x1b[K%s\n", line)
	}
	b.WriteString("\x1b[J") // what is left of a longer picture
	r.drawn = len(lines)
	io.WriteString(r.w, b.String())
}

// progressLines is the progress in a few short lines.
func progressLines(p Progress) []string {
	first := phaseText(p.Phase, p.Elapsed, p.Planned, p.Waiting) + fmt.Sprintf("  %d/%d connected", p.Connected, p.Devices)
	if len(p.Cut) > 0 {
		first += fmt.Sprintf("  gateway of %s is cut", strings.Join(p.Cut, ", "))
	}
	lines := []string{
		first,
		fmt.Sprintf("%.0f messages/s  %.0f events/s  %d reprovisions  p99 %d ms",
			p.MessagesPerSecond, p.EventsPerSecond, p.Reprovisions, p.SequenceToCommandP99.Milliseconds()),
	}
	if p.DeadLetters > 0 {
		lines[1] += fmt.Sprintf("  %d dead letters", p.DeadLetters)
	}
	return withStates(lines, p.States, p.Trouble)
}

// phaseText is how far a run is.
func phaseText(phase Phase, elapsed, planned time.Duration, waiting int) string {
	text := fmt.Sprintf("%-10s %s", phase, clock(elapsed))
	switch phase {
	case PhaseConnecting, PhaseRunning:
		text += " of " + clock(planned)
	case PhaseSettling:
		text += fmt.Sprintf("  waiting for %d", waiting)
	}
	return text
}

// withStates adds the states, and what goes wrong.
func withStates(lines []string, states map[string]int, trouble string) []string {
	if len(states) > 0 {
		lines = append(lines, statesLine(states))
	}
	if trouble != "" {
		lines = append(lines, "! "+shortened(trouble, 100))
	}
	return lines
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// maxStatesShown keeps the picture small for models with many states.
const maxStatesShown = 6

// statesLine is the states with the most devices.
func statesLine(states map[string]int) string {
	type count struct {
		name string
		n    int
	}
	var counts []count
	for name, n := range states {
		if n > 0 {
			counts = append(counts, count{name, n})
		}
	}
	slices.SortFunc(counts, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	var parts []string
	for i, c := range counts {
		if i == maxStatesShown {
			parts = append(parts, fmt.Sprintf("+%d more states", len(counts)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %d", c.name, c.n))
	}
	return strings.Join(parts, "  ")
}

func shortened(text string, most int) string {
	text = strings.ReplaceAll(text, "\n", " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
