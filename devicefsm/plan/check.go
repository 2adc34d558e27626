package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/devicefsm"
)

// maxReported bounds each list of a report.
const maxReported = 100

// Report is what Check found.
type Report struct {
	// Configurations is how many were looked at; Incomplete says why these are not all.
	Configurations int    `json:"configurations"`
	Incomplete     string `json:"incomplete,omitempty"`
	// Held are those that the plan holds.
	Held []string `json:"held,omitempty"`
	// Problems are those that have no legal image.
	Problems []Problem `json:"problems,omitempty"`
	// Lost is what a device loses on the way there, and on the way there and back.
	Lost []string `json:"lost,omitempty"`
}

// Problem is why a device cannot be moved from a configuration.
type Problem struct {
	States  []string `json:"states"` // the active atomic states
	Problem string   `json:"problem"`
}

// OK reports whether every configuration that a device may be in has a legal image, or is held.
func (r *Report) OK() bool { return len(r.Problems) == 0 && r.Incomplete == "" }

// Check looks at every configuration that the old chart may come to, whatever its guards say:
// whether it has a legal image, and where a device in it is after the way there and back. What
// depends on a device's context shows when the plan is applied: an expression that fails, a
// guard that holds on arrival.
func (p *Plan) Check() *Report {
	r := &Report{}
	configurations, err := p.old.Configurations()
	if err != nil {
		r.Incomplete = err.Error()
	}
	r.Configurations = len(configurations)
	inverse, lost := p.Inverse()
	back, faults := devicefsm.NewMigration(p.new, p.old, inverse)
	c := checker{p: p, back: back, lost: map[string]bool{}, held: map[string]bool{}, problems: map[string]bool{}, r: r}
	for _, l := range lost {
		c.lost[l] = true
	}
	for _, f := range faults {
		c.lost["the way back: "+f.Message] = true
	}
	for _, at := range configurations {
		c.look(at)
	}
	r.Held, r.Lost = bounded(c.held), bounded(c.lost)
	return r
}

func bounded(set map[string]bool) []string {
	all := slices.Sorted(maps.Keys(set))
	return all[:min(len(all), maxReported)]
}

type checker struct {
	p                    *Plan
	back                 *devicefsm.Migration
	r                    *Report
	lost, held, problems map[string]bool
}

func (c *checker) look(at devicefsm.Configuration) {
	name := strings.Join(at.States, ", ")
	there := c.p.Migration.Image(at)
	for _, l := range there.Lost {
		c.lost[l] = true
	}
	if there.Held {
		c.held[name] = true
		return
	}
	for _, problem := range there.Problems {
		if key := name + "\n" + problem; !c.problems[key] && len(c.r.Problems) < maxReported {
			c.problems[key] = true
			c.r.Problems = append(c.r.Problems, Problem{at.States, problem})
		}
	}
	if len(there.Problems) > 0 || c.back == nil {
		return
	}
	again := c.back.Image(there.Configuration)
	switch {
	case again.Held:
		c.lost[fmt.Sprintf("%q has no way back from %q", name, strings.Join(there.States, ", "))] = true
	case len(again.Problems) > 0:
		c.lost[fmt.Sprintf("%q has no way back from %q: %s", name, strings.Join(there.States, ", "), again.Problems[0])] = true
	case !slices.Equal(again.States, at.States):
		c.lost[fmt.Sprintf("%q comes back as %q", name, strings.Join(again.States, ", "))] = true
	}
	for _, h := range slices.Sorted(maps.Keys(at.History)) {
		if !slices.Equal(at.History[h], again.History[h]) && len(again.Problems) == 0 && !again.Held {
			c.lost[fmt.Sprintf("history %q does not come back as it was", h)] = true
		}
	}
}

// without is how many sets of active states have a problem.
func (r *Report) without() int {
	states := map[string]bool{}
	for _, p := range r.Problems {
		states[strings.Join(p.States, ",")] = true
	}
	return len(states)
}

// String is the report for people to read.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d configurations of the old model: %d without a legal image\n", r.Configurations, r.without())
	if r.Incomplete != "" {
		fmt.Fprintf(&b, "These are not all: %s. The rest is checked when the plan is applied.\n", r.Incomplete)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "  %q: %s\n", strings.Join(p.States, ", "), p.Problem)
	}
	if len(r.Held) > 0 {
		b.WriteString("Held, so not moved:\n")
		for _, name := range r.Held {
			fmt.Fprintf(&b, "  %q\n", name)
		}
	}
	if len(r.Lost) == 0 && r.OK() {
		b.WriteString("There and back by the inverse plan, a device is where it was.\n")
		return b.String()
	}
	if len(r.Lost) > 0 {
		b.WriteString("Lost on the way there and back:\n")
	}
	for _, l := range r.Lost {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return b.String()
}
