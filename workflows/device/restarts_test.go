package device

import (
	"testing"
	"time"

	"devicetwin/device"
)

// What is applied of a trace, and how many restarts are reported, by the rules of today
// and by those before.
func TestRestartsByRules(t *testing.T) {
	const tel, status = device.ChannelTelemetry, device.ChannelStatus
	at := func(channel device.Channel, epoch int64, seq uint64, sent int64, again bool) device.Message {
		m := device.Message{Channel: channel, Epoch: epoch, Seq: seq, Redelivered: again, Data: map[string]any{"t": float64(1000*sent) + float64(seq)}}
		if sent > 0 {
			m.Sent = time.UnixMilli(1000 * sent).UTC()
		}
		return m
	}
	many := func(epoch int64, from, to uint64) (list []device.Message) {
		for seq := from; seq <= to; seq++ {
			list = append(list, at(tel, epoch, seq, 0, false))
		}
		return list
	}
	other := func(m device.Message) device.Message {
		m.Data = map[string]any{"other": m.Data["t"]}
		return m
	}
	held := other(at(tel, 2, 2, 0, false))
	type counts struct{ applied, restarts int }
	for name, c := range map[string]struct {
		trace         []device.Message
		today, before counts
	}{
		"sent later than all, though the broker marks it": {
			[]device.Message{at(status, 0, 1, 1, false), at(tel, 0, 2, 2, false), at(status, 0, 1, 3, true), at(tel, 0, 2, 4, true), at(tel, 0, 2, 4, true)},
			counts{4, 1}, counts{2, 0},
		},
		"three numberings in one epoch, and what the broker delivers again of the first": {
			append(many(0, 1, 9), other(at(tel, 0, 1, 0, false)), at(status, 0, 1, 0, false), at(tel, 0, 2, 0, false), at(tel, 0, 8, 0, true), at(tel, 0, 9, 0, true)),
			counts{12, 2}, counts{14, 2},
		},
		"an epoch that rises again after it fell": {
			append(append(many(9, 1, 3), many(3, 1, 3)...), many(4, 1, 2)...),
			counts{8, 1}, counts{6, 1},
		},
		"a copy of a message that is held back": {
			append(many(9, 1, 40), other(at(tel, 2, 1, 0, false)), held, held, other(at(tel, 2, 3, 0, false))),
			counts{43, 1}, counts{40, 0},
		},
		"a run whose first message the broker marks": {
			append(many(0, 1, 90), other(at(tel, 0, 1, 0, true)), other(at(tel, 0, 2, 0, false)), other(at(tel, 0, 3, 0, false)), other(at(tel, 0, 4, 0, false))),
			counts{93, 1}, counts{90, 0},
		},
		"a counter of its own for the status": {
			[]device.Message{at(tel, 0, 1, 0, false), at(tel, 0, 2, 0, false), at(status, 0, 1, 0, false), at(tel, 0, 3, 0, false),
				at(status, 0, 2, 0, false), at(tel, 0, 4, 0, false), at(status, 0, 3, 0, false), at(tel, 0, 4, 0, false), at(status, 0, 4, 0, false)},
			counts{8, 1}, counts{9, 4},
		},
		"a counter of its own for the status, with an epoch": {
			[]device.Message{at(tel, 5, 1, 0, false), at(tel, 5, 2, 0, false), at(status, 5, 1, 0, false), at(tel, 5, 3, 0, false), at(status, 5, 2, 0, false)},
			counts{5, 0}, counts{5, 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for rules, want := range map[int]counts{rulesNow: c.today, rulesMessages: c.before} {
				var d Delivery
				var got counts
				for _, m := range c.trace {
					before := d.Applied
					_, begun, _ := d.receive(m, rules, 0)
					got.applied += int(d.Applied - before)
					if begun != nil {
						got.restarts++
					}
					d = throughJSON(t, d)
				}
				if got != want {
					t.Errorf("rules %d: %+v, want %+v", rules, got, want)
				}
			}
		})
	}
}
