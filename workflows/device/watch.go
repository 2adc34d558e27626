package device

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"devicetwin/twin"
)

// maxConvergence is how many changes of desired properties are watched.
const maxConvergence = 16

// watch waits for the device to report desired properties in time. They are those
// that were asked for, whether or not they changed: a model that asks again for
// what was not done wants to hear of it again.
func (d *run) watch(shadow string, doc twin.Document, paths []string, within time.Duration, now time.Time) {
	open := twin.Diverged(doc, paths)
	if within <= 0 || len(open) == 0 {
		return
	}
	d.unwatch(shadow, open)
	d.state.Convergence = append(d.state.Convergence, Convergence{Shadow: shadow, Version: doc.Version(), Paths: open, Due: now.Add(within)})
	if extra := len(d.state.Convergence) - maxConvergence; extra > 0 {
		d.noteStepFaults([]string{fmt.Sprintf("more than %d deadlines of desired properties; the oldest is not watched any more", maxConvergence)})
		d.state.Convergence = slices.Delete(d.state.Convergence, 0, extra)
	}
}

// unwatch ends the deadlines of properties that are desired otherwise now: they
// were for a value that nobody waits for.
func (d *run) unwatch(shadow string, paths []string) {
	list := slices.Clone(d.state.Convergence)
	for i, c := range list {
		if c.Shadow == shadow {
			list[i].Paths = slices.DeleteFunc(slices.Clone(c.Paths), func(p string) bool {
				return slices.ContainsFunc(paths, func(q string) bool { return related(p, q) })
			})
		}
	}
	d.state.Convergence = slices.DeleteFunc(list, func(c Convergence) bool { return len(c.Paths) == 0 })
}

// related reports whether one of two paths is the other, or above it.
func related(p, q string) bool {
	return p == q || strings.HasPrefix(p, q+".") || strings.HasPrefix(q, p+".")
}

// desiredPaths are the paths of all that a document desires.
func desiredPaths(doc twin.Document) []string {
	return twin.ChangedPaths(twin.Document{}, doc).Desired
}
