package device

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/device"
)

func numbered(epoch int64, seq uint64) device.Message {
	return device.Message{Channel: device.ChannelTelemetry, Epoch: epoch, Seq: seq}
}

func TestDeliveryJudge(t *testing.T) {
	plain := func(digest string, redelivered bool) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Digest: digest, Redelivered: redelivered}
	}
	after := func(m device.Message, epoch int64, from, to uint64, digests ...string) device.Message {
		m.LeftOut = &device.LeftOut{Spans: []device.Span{{Epoch: epoch, From: from, To: to}}, Digests: digests}
		return m
	}
	tests := []struct {
		name  string
		given []device.Message
		want  []verdict
	}{
		{"in order", []device.Message{numbered(1, 1), numbered(1, 2), numbered(1, 3)}, []verdict{fresh, fresh, fresh}},
		{"left out numbers are not duplicates", []device.Message{numbered(1, 5), numbered(1, 90)}, []verdict{fresh, fresh}},
		{"twice", []device.Message{numbered(1, 1), numbered(1, 1)}, []verdict{fresh, duplicate}},
		{"late once, then a duplicate", []device.Message{numbered(1, 3), numbered(1, 2), numbered(1, 2)}, []verdict{fresh, late, duplicate}},
		{"at the window's old end", []device.Message{numbered(1, windowSize), numbered(1, 1)}, []verdict{fresh, late}},
		{"beyond the window's old end", []device.Message{numbered(1, windowSize+1), numbered(1, 1)}, []verdict{fresh, duplicate}},
		{"a new epoch starts again", []device.Message{numbered(1, 7), numbered(2, 1), numbered(2, 2)}, []verdict{fresh, fresh, fresh}},
		{"a straggler of the epoch before", []device.Message{numbered(1, 7), numbered(2, 1), numbered(1, 8), numbered(1, 8)}, []verdict{fresh, fresh, fresh, duplicate}},
		{"an epoch long gone", []device.Message{numbered(1, 7), numbered(2, 1), numbered(3, 1), numbered(1, 8)}, []verdict{fresh, fresh, fresh, duplicate}},
		{"equal readings are not duplicates", []device.Message{plain("a", false), plain("a", false)}, []verdict{fresh, fresh}},
		{"what was left out is a duplicate when it is delivered again",
			[]device.Message{numbered(1, 2), after(numbered(1, 6), 1, 4, 5), numbered(1, 4), numbered(1, 5), numbered(1, 3)},
			[]verdict{fresh, fresh, duplicate, duplicate, late}},
		{"also of the epoch before", []device.Message{numbered(1, 2), after(numbered(2, 1), 1, 3, 9), numbered(1, 8)}, []verdict{fresh, fresh, duplicate}},
		{"more than the window holds was left out", []device.Message{after(numbered(1, 5000), 1, 1, 4999), numbered(1, 3), numbered(1, 4998)}, []verdict{fresh, duplicate, duplicate}},
		{"it is itself among them", []device.Message{after(numbered(1, 4), 1, 3, 6)}, []verdict{duplicate}},
		{"without a number", []device.Message{after(plain("c", false), 1, 1, 0, "a", "b"), plain("b", true), plain("b", false)}, []verdict{fresh, duplicate, fresh}},
		{"a redelivery is", []device.Message{plain("a", false), plain("a", true), plain("b", true)}, []verdict{fresh, duplicate, fresh}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d Delivery
			var got []verdict
			for _, m := range tt.given {
				got = append(got, d.Admit(m))
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("verdicts %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDeliveryDigestsAreBounded(t *testing.T) {
	var d Delivery
	for i := range 10 * keptDigests {
		d.Admit(device.Message{Channel: device.ChannelTelemetry, Digest: fmt.Sprint(i)})
	}
	if len(d.Digests) != keptDigests {
		t.Errorf("%d digests kept, want %d", len(d.Digests), keptDigests)
	}
}

// The window agrees with a set that remembers everything, for every number that
// is not older than the window; and survives JSON between any two messages.
func TestDeliveryAgainstASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Delivery
		seen := map[uint64]bool{}
		highest := uint64(0)
		for _, jump := range rapid.SliceOfN(rapid.IntRange(-windowSize, windowSize+70), 1, 300).Draw(t, "jumps") {
			seq := uint64(max(1, int64(highest)+int64(jump)))
			want := fresh
			switch {
			case seen[seq], seq+windowSize <= highest:
				want = duplicate
			case seq < highest:
				want = late
			}
			if got := d.Admit(numbered(7, seq)); got != want {
				t.Fatalf("message %d after %d: verdict %d, want %d", seq, highest, got, want)
			}
			seen[seq] = true
			highest = max(highest, seq)
			d = throughJSON(t, d)
		}
	})
}

func throughJSON[T any](t interface{ Fatal(...any) }, v T) T {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v, back) {
		t.Fatal(fmt.Sprintf("%s came back as %+v, was %+v", raw, back, v))
	}
	return back
}

func TestRunLogJoinsConsecutiveNumbers(t *testing.T) {
	var l RunLog
	for _, seq := range []uint64{1, 2, 3, 7, 8} {
		l.add(3, numbered(1, seq))
	}
	l.add(3, device.Message{})
	l.add(9, numbered(1, 9))
	want := RunLog{Tasks: []TaskLog{
		{Started: 3, Spans: []device.Span{{Epoch: 1, From: 1, To: 3}, {Epoch: 1, From: 7, To: 8}}},
		{Started: 9, Spans: []device.Span{{Epoch: 1, From: 9, To: 9}}},
	}}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("log %+v, want %+v", l, want)
	}
}
