package ingest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"devicetwin/device"
)

// said are the numbers of the messages that were signalled, with what is said of a
// restart.
func (r *readings) said() string {
	var got []string
	for _, s := range r.out.signals[r.told:] {
		for _, m := range s.batch.Messages {
			switch {
			case m.Channel == device.ChannelSystem:
				got = append(got, m.Name)
			case m.Restart != nil:
				got = append(got, fmt.Sprintf("%d restarted %+v", m.Seq, *m.Restart))
			default:
				got = append(got, fmt.Sprint(m.Seq))
			}
		}
	}
	r.told = len(r.out.signals)
	return strings.Join(got, ", ")
}

func (r *readings) number(topic string, seq, temperature int, again bool) {
	r.deliver("devices/d/"+topic, fmt.Sprintf(`{"seq":%d,"t":%d,"status":"boot"}`, seq, temperature), "", again)
	r.acceptAll()
}

// A bridge that began when the device was at number 500 takes numbers below for
// copies; after a restart they are not, and the first ones are not lost.
func TestARestartWithoutABirthIsSeen(t *testing.T) {
	begun := func() *readings {
		r := newReadings(t, nil)
		for seq := 500; seq < 503; seq++ {
			r.number("telemetry", seq, 85, false)
		}
		r.said()
		return r
	}
	r := begun()
	for seq, temperature := range []int{95, 85, 75, 95} {
		r.number("telemetry", seq+1, temperature, false)
	}
	want := "1 restarted {Epoch:0 Seq:1 LastEpoch:0 LastSeq:502 LeftOut:[{Epoch:0 From:2 To:2}]}, 3, 4"
	if got := strings.ReplaceAll(r.said(), device.MessageFault+", ", ""); got != want {
		t.Errorf("signalled %s, want %s", got, want)
	}
	if r.number("telemetry", 7, 85, false); r.counts.Gaps.Load() != 1 {
		t.Errorf("%d gaps, want the one of the new numbering", r.counts.Gaps.Load())
	}

	r = begun()
	for seq := 1; seq <= 4; seq++ {
		r.number("telemetry", seq, 85, false)
	}
	r.number("telemetry", 5, 95, false)
	if got := r.said(); !strings.Contains(got, "5 restarted {Epoch:0 Seq:1 LastEpoch:0 LastSeq:502") {
		t.Errorf("what was left out hides the restart: signalled %s", got)
	}

	r = begun()
	for _, seq := range []int{1, 2, 3} { // the broker delivers again what came before
		r.number("telemetry", seq, 95, true)
	}
	r.number("telemetry", 501, 95, false) // and a client what it does not know to have arrived
	r.number("telemetry", 502, 95, false)
	r.number("telemetry", 503, 75, false)
	if got := r.said(); strings.Contains(got, "restarted") || r.counts.Gaps.Load() != 0 {
		t.Errorf("copies are taken for a restart: %s, %d gaps", got, r.counts.Gaps.Load())
	}
}

// A device with one counter per topic is not restarted by a topic with lower numbers,
// and its births, numbered from 1 at its start alone, make no gaps.
func TestOneCounterPerTopicIsNoRestartAndNoGap(t *testing.T) {
	r := newReadings(t, nil)
	for seq := 1; seq <= 40; seq++ {
		r.number("telemetry", seq, 85, false)
		if seq%10 == 0 {
			r.number("events/door", seq/10, 85, false)
			r.number("status", 1+seq/10, 85, false)
		}
	}
	if got := r.said(); strings.Contains(got, "restarted") || r.counts.Gaps.Load() != 0 {
		t.Errorf("signalled %s, %d gaps", got, r.counts.Gaps.Load())
	}
}

// A birth with number 1 is marked: the workflow may not know the numbers before, which
// were left out.
func TestABirthIsMarkedAsARestart(t *testing.T) {
	r := newReadings(t, nil)
	for seq := 1; seq <= 5; seq++ {
		r.number("telemetry", seq, 85, false)
	}
	r.number("status", 1, 0, false)
	messages := r.out.signals[len(r.out.signals)-1].batch.Messages
	if got, want := messages[len(messages)-1].Restart, (&device.Restart{Seq: 1, LastSeq: 5}); !reflect.DeepEqual(got, want) {
		t.Errorf("marked %+v, want %+v", got, want)
	}
}

// A message that makes the workflow raise an event of its number is delivered to
// models that use the event, and to no other.
func TestEventsOfNumbersNeedTheirMessages(t *testing.T) {
	with := func(event string) string {
		return strings.Replace(tank, "initial: cool", "on: {"+event+": {actions: [{log: \"'x'\"}]}}\ninitial: cool", 1)
	}
	for model, want := range map[string]string{
		tank:                                "",
		with(device.EventSequenceRestarted): "3 restarted {Epoch:0 Seq:1 LastEpoch:0 LastSeq:9 LeftOut:[]}",
		with(device.EventSequenceLate):      "6, 6, 1, 2",
	} {
		r := &readings{bench: newBench(DefaultConfig(), modelOf(t, model))}
		for _, seq := range []int{1, 2, 3, 4, 5, 7, 8} {
			r.deliver("devices/d/telemetry", fmt.Sprintf(`{"seq":%d}`, seq), "", false)
		}
		r.acceptAll()
		r.said()
		seqs := []int{9, 1, 2, 3}
		if strings.Contains(model, device.EventSequenceLate) {
			seqs = []int{6, 6, 1, 2}
		}
		for _, seq := range seqs {
			r.deliver("devices/d/telemetry", fmt.Sprintf(`{"seq":%d}`, seq), "", false)
			r.acceptAll()
		}
		if got := r.said(); got != want {
			t.Errorf("signalled %q, want %q", got, want)
		}
	}
}
