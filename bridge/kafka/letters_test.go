package kafka

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/bridge/ingest"
	"devicetwin/wire"
)

// narrow takes records with values of at most some bytes.
type narrow struct {
	most int
	took []*kgo.Record
}

func (n *narrow) ProduceSync(_ context.Context, rs ...*kgo.Record) kgo.ProduceResults {
	if len(rs[0].Value) > n.most {
		return kgo.ProduceResults{{Record: rs[0], Err: kerr.MessageTooLarge}}
	}
	n.took = append(n.took, rs...)
	return kgo.ProduceResults{{Record: rs[0]}}
}

// A dead letter says where the record was, why and when it was refused; a value that its topic does not take is
// left out, and its length said.
func TestTheHeadersOfADeadLetter(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8_000_000, time.UTC)
	letter := ingest.DeadLetter{
		Arrival: ingest.Arrival{Origin: "purchases/a/b", Payload: []byte("0123456789"), At: at, Log: logName(topicID{1}, 17), Offset: 4711},
		Refused: wire.Refused{Reason: wire.ReasonBadPayload, Detail: "not JSON"},
	}
	want := map[string]string{
		headerReason: string(wire.ReasonBadPayload), headerDetail: "not JSON", headerTopic: "purchases", headerPartition: "17", headerOffset: "4711",
		headerReceived: "2026-03-04T05:06:07.008Z",
	}
	for _, room := range []int{10, 9} {
		cfg := DefaultConfig()
		cfg.DeadLetters = "dead"
		to := &narrow{most: room}
		o := newOutlet(cfg, nil, newCounters(), slog.New(slog.DiscardHandler))
		if !o.write(t.Context(), to, letter) || len(to.took) != 1 {
			t.Fatalf("%d bytes: took %v", room, to.took)
		}
		r, value := to.took[0], "0123456789"
		if room < len(value) {
			want[headerBytes], value = "10", ""
		}
		if r.Topic != "dead" || string(r.Key) != "a/b" || string(r.Value) != value || len(r.Headers) != len(want) {
			t.Errorf("%d bytes: %+v", room, r)
		}
		for _, h := range r.Headers {
			if string(h.Value) != want[h.Key] {
				t.Errorf("%d bytes: header %s is %q, want %q", room, h.Key, h.Value, want[h.Key])
			}
		}
	}
}
