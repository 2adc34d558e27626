package dialect

import (
	"fmt"
	"slices"
	"strings"
)

// Notes are what may be right, and more often is a mistake: a line for each.
func (d *Dialect) Notes() (notes []string) {
	for _, o := range d.outgoing() {
		if o.id == nil { // it is for all devices
			continue
		}
		if same := d.notTold(o); len(same) > 0 {
			line, _ := o.topicAt.Position()
			notes = append(notes, fmt.Sprintf("line %d: topic %q: devices are sent the same whose ids %q differ in {%s} only, which is neither in the topic nor read in an expression",
				line, o.topic.text, o.id.text, strings.Join(same, "}, {")))
		}
	}
	return notes
}

// notTold are the variables of the id that what is sent does not depend on. Where it depends on one that
// is not in the id, that may stand for them.
func (d *Dialect) notTold(o *outgoing) (names []string) {
	known := d.knownOf(o.id)
	needs := o.needs(known)
	of := o.id.variables()
	if slices.ContainsFunc(needs, func(name string) bool { return !slices.Contains(of, name) }) {
		return nil
	}
	return slices.DeleteFunc(of, func(name string) bool { return slices.Contains(needs, name) })
}
