package dialect

import (
	"encoding/json"
	"fmt"
)

// Unsent are the entries of the dialect, of what is sent, of which there is no sample: each with its
// line and its topic.
func (d *Dialect) Unsent(samples []Sample) (entries []string) {
	used := map[*outgoing]bool{}
	for _, s := range samples {
		if s.sent != nil && s.outcome == "" {
			d.noteSent(s.sent, used)
		}
	}
	for _, o := range d.outgoing() {
		if !used[o] {
			entries = append(entries, o.place())
		}
	}
	return entries
}

// place is where the entry is, for people.
func (o *outgoing) place() string {
	line, _ := o.at.Position()
	return fmt.Sprintf("line %d, topic %s", line, o.topic.text)
}

// noteSent notes the entries by which a sample is sent.
func (d *Dialect) noteSent(s *sent, used map[*outgoing]bool) {
	to, err := d.AddressOf(s.device, s.id, s.vars)
	if err != nil {
		return
	}
	switch s.occasion {
	case "command":
		if c := d.commandOf(to, s.command.Name); c != nil {
			used[&c.outgoing] = true
		}
	case "desired":
		var left map[string]any
		_ = json.Unmarshal(s.state, &left) // it was read from a mapping
		for _, p := range d.desired {
			if p.isFor(d, to) && len(p.take(left)) > 0 {
				used[&p.outgoing] = true
			}
		}
	case "birth":
		for _, q := range d.questions {
			if q.isFor(d, to) {
				used[&q.outgoing] = true
			}
		}
	default:
		for _, q := range d.openings {
			used[&q.outgoing] = true
		}
	}
}
