package command

import (
	"slices"
	"time"
)

// KeptData is how many bytes of data a queue keeps of commands that ended: see EndWithData.
const KeptData = 64 << 10

// EndWithData ends the command under way, of an entity that answers none: it has succeeded. Its data
// are kept, since the record of commands is where such an entity reads what it is sent: those of
// the newest commands, KeptData bytes in all. Changed is false if another command is under way.
func (q *Queue) EndWithData(id string, now time.Time) (c Command, changed bool) {
	if q.Flight == nil || q.Flight.ID != id {
		return Command{}, false
	}
	data := q.Flight.Data
	c = q.end(*q.Flight, Succeeded, nil, "", now)
	q.Flight = nil
	q.Ended = slices.Clone(q.Ended)
	q.Ended[len(q.Ended)-1].Data = data
	kept := 0
	for i, e := range slices.Backward(q.Ended) {
		if kept += len(e.Data); kept > KeptData {
			q.Ended[i].Data = nil
		}
	}
	c.Data = data
	return c, true
}
