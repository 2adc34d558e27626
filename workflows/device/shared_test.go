package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

// newKeeping is newCounting of a run that begins now; keeping says what it keeps.
func newKeeping(t interface{ Fatal(...any) }) *run { return keeping(newCounting(t, rulesNow), keptNow) }

func keeping(d *run, k kept) *run {
	d.settings.Kept = k
	return d
}

// verdictsOn delivers an unnumbered message at each place ("t:0 9"), and says of each whether
// it was applied (a) or dropped (d). The state goes through JSON after each.
func verdictsOn(t *testing.T, k kept, places ...string) string {
	t.Helper()
	d := keeping(newCounting(t, rulesNow), k)
	var got strings.Builder
	for i, place := range places {
		log, pos := "", int64(0)
		if _, err := fmt.Sscan(place, &log, &pos); err != nil {
			t.Fatalf("place %q: %v", place, err)
		}
		before := d.state.Delivery
		d.given(device.Batch{Log: log, Messages: []device.Message{unnumbered(i, pos)}})
		switch after := d.state.Delivery; {
		case after.Applied == before.Applied+1 && after.Duplicates == before.Duplicates:
			got.WriteByte('a')
		case after.Applied == before.Applied && after.Duplicates == before.Duplicates+1:
			got.WriteByte('d')
		default:
			t.Fatalf("%+v became %+v", before, after)
		}
		d.state.Delivery = throughJSON(t, d.state.Delivery)
	}
	return got.String()
}

// onEach are places at one position of the logs t:0, t:1 and so on.
func onEach(from, to int, pos int64) (places []string) {
	for i := from; i < to; i++ {
		places = append(places, fmt.Sprintf("t:%d %d", i, pos))
	}
	return places
}

func TestPositionsOfSharedLogs(t *testing.T) {
	const all = keptSharedLogs
	own := []string{"a 9", "b 9", "c 9", "d 9"}
	for name, c := range map[string]struct {
		kept   kept
		places []string
		want   string
	}{
		"as many as are kept": {keptNow, slices.Concat(onEach(0, all, 9), onEach(0, all, 9), onEach(0, all, 10)),
			strings.Repeat("a", all) + strings.Repeat("d", all) + strings.Repeat("a", all)},
		"of one more, the first is forgotten": {keptNow, slices.Concat(onEach(0, all+1, 9), onEach(1, all+1, 9), onEach(0, 1, 9)),
			strings.Repeat("a", all+1) + strings.Repeat("d", all) + "a"},
		"of one more, one in use is not": {keptNow, slices.Concat(onEach(0, all, 9), []string{"t:0 9", "t:999 9", "t:0 9", "t:1 9"}),
			strings.Repeat("a", all) + "dada"},
		"they do not push out a bridge's own": {keptNow, slices.Concat(own, onEach(0, all+1, 9), own),
			strings.Repeat("a", 4+all+1) + "dddd"},
		"a bridge's own do not push them out": {keptNow, slices.Concat([]string{"t:0 9"}, own, []string{"e 9", "t:0 9", "a 9"}),
			"aaaaaada"},
		"before, there were four of all": {kept{}, slices.Concat(onEach(0, 4, 9), []string{"a 9", "t:1 9", "t:0 9"}),
			"aaaaada"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := verdictsOn(t, c.kept, c.places...); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A run that began under an earlier release hands over what it knows, and the next one goes on
// with it.
func TestPositionsOfSharedLogsGoOn(t *testing.T) {
	d := newCounting(t, rulesNow)
	give := func(log string, pos int64) {
		d.given(device.Batch{Log: log, Messages: []device.Message{unnumbered(0, pos)}})
	}
	for i := range 4 {
		give(fmt.Sprintf("t:%d", i), 9)
	}
	d = keeping(resumed(d.model, d.state, rulesNow), keptNow)
	for i := range 8 {
		give(fmt.Sprintf("t:%d", i), 9)
	}
	if got := d.state.Delivery; got.Applied != 8 || got.Duplicates != 4 || len(got.Logs) != 8 {
		t.Errorf("%d applied, %d duplicates, %d logs; want 8, 4, 8", got.Applied, got.Duplicates, len(got.Logs))
	}
}

// However many partitions there are, and whatever ids senders give, the state has room for them.
func TestSharedLogsAndIDsAreBounded(t *testing.T) {
	d := newKeeping(t)
	for i := range 3 * keptSharedLogs {
		log := fmt.Sprintf("%0*d:0", device.MaxLogName-2, i)
		m := unnumbered(i, 1<<63-1)
		m.SenderID = fmt.Sprintf("%016x", i)
		d.given(device.Batch{Log: log, Messages: []device.Message{m}})
		m.SenderID, m.Pos = strings.Repeat("x", 1000)+fmt.Sprint(i), 0
		d.given(device.Batch{Messages: []device.Message{m}})
	}
	raw, err := json.Marshal(d.state.Delivery)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.state.Delivery; len(got.Logs) != keptSharedLogs || len(got.IDs) != keptIDs || len(raw) > 12_000 {
		t.Errorf("%d logs and %d ids in %d bytes; want %d and %d in at most 12000", len(got.Logs), len(got.IDs), len(raw), keptSharedLogs, keptIDs)
	}
	if got := d.state.Delivery; got.Duplicates != 0 || got.Applied != 6*keptSharedLogs {
		t.Errorf("%d applied, %d duplicates; want %d and 0", got.Applied, got.Duplicates, 6*keptSharedLogs)
	}
}

// An entity has records on many partitions. Each of these is read in its order, and from any earlier
// place again, by whichever bridge; meanwhile a bridge of MQTT starts now and then. Each
// record is applied once, in the order of its partition.
func TestRecordsOfManyPartitionsAreAppliedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newKeeping(t)
		partitions := rapid.IntRange(1, keptSharedLogs).Draw(t, "partitions")
		next, end := make([]int64, partitions), make([]int64, partitions)
		n, again, starts := 0, uint64(0), 0
		var want []string
		for range rapid.IntRange(1, 300).Draw(t, "deliveries") {
			p := rapid.IntRange(0, partitions-1).Draw(t, "partition")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0: // the offsets of a partition are set back
				next[p] = rapid.Int64Range(0, next[p]).Draw(t, "again from")
			case 1:
				starts++
				n++
				want = append(want, fmt.Sprint(n))
				d.given(device.Batch{Log: fmt.Sprintf("start-%d", starts), Messages: []device.Message{unnumbered(n, 1)}})
			case 2:
				d = continued(t, d)
			default:
				batch := device.Batch{Log: fmt.Sprintf("t:%d", p)}
				for range rapid.IntRange(1, 5).Draw(t, "records") {
					next[p]++
					if next[p] <= end[p] {
						again++
						batch.Messages = append(batch.Messages, unnumbered(-1, next[p]))
						continue
					}
					end[p] = next[p]
					n++
					want = append(want, fmt.Sprint(n))
					batch.Messages = append(batch.Messages, unnumbered(n, next[p]))
				}
				d.given(batch)
			}
		}
		if got := d.decided(); got != strings.Join(want, " ") {
			t.Errorf("applied\n%s\nwant\n%s", got, strings.Join(want, " "))
		}
		if got := d.state.Delivery.Duplicates; got != again {
			t.Errorf("%d duplicates, want %d", got, again)
		}
	})
}

// eventWithID is an event with an id of its sender.
func eventWithID(n int, id string) device.Message {
	m := unnumbered(n, 0)
	m.SenderID = id
	return m
}

func TestAnIDOfASenderCountsOnce(t *testing.T) {
	d := newKeeping(t)
	numbered := eventWithID(7, "a")
	numbered.Seq, numbered.Digest = 1, ""
	other := eventWithID(8, "a")
	other.Digest = "00000000000000aa"
	for _, m := range []device.Message{
		eventWithID(1, "a"), eventWithID(2, "a"), eventWithID(3, "b"), eventWithID(4, "a"), eventWithID(5, ""), eventWithID(6, ""), numbered, other,
	} {
		d.given(device.Batch{Messages: []device.Message{m}})
	}
	// A number counts in place of an id, and whatever a copy says, it is one.
	if got := d.decided(); got != "1 3 5 6 7" || d.state.Delivery.Duplicates != 3 {
		t.Errorf("applied %s, %d duplicates; want 1 3 5 6 7, 3", got, d.state.Delivery.Duplicates)
	}
}

// What a log delivers again is not asked for its id, so it makes no other id be forgotten; and what
// was said before a copy counts.
func TestIDsAndPositions(t *testing.T) {
	d := newKeeping(t)
	at := func(pos int64, m device.Message) device.Message { m.Pos = pos; return m }
	give := func(log string, m device.Message) { d.given(device.Batch{Log: log, Messages: []device.Message{m}}) }
	give("t:0", at(1, eventWithID(1, "a")))
	for i := range keptIDs - 1 {
		give("t:0", at(int64(2+i), eventWithID(100+i, fmt.Sprint("x", i))))
	}
	give("t:0", at(1, eventWithID(2, "a"))) // again: it does not become the one used last
	give("t:1", at(1, eventWithID(3, "y")))
	give("t:1", at(2, eventWithID(4, "a"))) // so it is forgotten by now
	leaving := at(3, eventWithID(5, "y"))
	leaving.LeftOut = &device.LeftOut{Digests: []string{"bb"}}
	give("t:1", leaving)
	left := unnumbered(6, 0)
	left.Digest, left.Redelivered = "bb", true
	give("", left)
	if got := d.decided(); !strings.HasPrefix(got, "1 100 ") || !strings.HasSuffix(got, " 3 4") || d.state.Delivery.Duplicates != 3 {
		t.Errorf("applied %s, %d duplicates; want 1 100 … 3 4, and 3", got, d.state.Delivery.Duplicates)
	}
}

// A copy by its id shows that its sender is there, as a copy by its number does.
func TestACopyByItsIDIsASignOfLife(t *testing.T) {
	d := newKeeping(t)
	first := eventWithID(1, "a")
	d.given(device.Batch{Messages: []device.Message{first, {Channel: device.ChannelStatus, Data: map[string]any{"status": "offline"}, Time: first.Time.Add(time.Second)}}})
	if d.state.Connection != device.Offline {
		t.Fatalf("connection %q, want %q", d.state.Connection, device.Offline)
	}
	again := first
	again.Time = first.Time.Add(time.Minute)
	d.given(device.Batch{Messages: []device.Message{again}})
	if d.state.Connection != device.Online || d.state.Delivery.Duplicates != 1 || d.decided() != "1" {
		t.Errorf("connection %q, %d duplicates, applied %s; want online, 1, and 1", d.state.Connection, d.state.Delivery.Duplicates, d.decided())
	}
}

// A run that began under an earlier release does not know ids.
func TestIDsUnderAnEarlierRelease(t *testing.T) {
	d := newCounting(t, rulesNow)
	d.given(device.Batch{Messages: []device.Message{eventWithID(1, "a"), eventWithID(2, "a")}})
	if got := d.decided(); got != "1 2" || len(d.state.Delivery.IDs) != 0 {
		t.Errorf("applied %s, with %d ids; want 1 2, and none", got, len(d.state.Delivery.IDs))
	}
}

// Whatever ids messages have, in whatever batches: each id counts once within the last that are
// kept, the one used last being the last to be forgotten; over the ends of runs, too.
func TestEachIDCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newKeeping(t)
		most := rapid.SampledFrom([]int{3, keptIDs, keptIDs + 1, 3 * keptIDs}).Draw(t, "ids")
		var known, want []string
		copies := uint64(0)
		messages := rapid.IntRange(1, 400).Draw(t, "messages")
		for n := 1; n <= messages; {
			var batch device.Batch
			for range rapid.IntRange(1, 8).Draw(t, "batch") {
				id := ""
				if i := rapid.IntRange(0, most).Draw(t, "id"); i > 0 {
					id = fmt.Sprintf("%016x", i)
				}
				batch.Messages = append(batch.Messages, eventWithID(n, id))
				at := slices.Index(known, id)
				switch {
				case id == "":
					want = append(want, fmt.Sprint(n))
				case at >= 0:
					copies++
					known = append(slices.Delete(known, at, at+1), id)
				default:
					want = append(want, fmt.Sprint(n))
					known = append(known, id)
					known = known[max(0, len(known)-keptIDs):]
				}
				n++
			}
			d.given(batch)
			if rapid.Bool().Draw(t, "continued as new") {
				d = continued(t, d)
			}
		}
		if got := d.decided(); got != strings.Join(want, " ") || d.state.Delivery.Duplicates != copies {
			t.Errorf("applied\n%s\nwant\n%s\n%d duplicates, want %d", got, strings.Join(want, " "), d.state.Delivery.Duplicates, copies)
		}
	})
}
