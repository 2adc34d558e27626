package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/bridge/ingest"
)

type troubles []ingest.Trouble

func (t troubles) Troubled(_ context.Context, _ time.Time, limit int) []ingest.Trouble {
	return t[:min(len(t), limit)]
}

func TestTroubleIsWrittenByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got birthPoints
		since := time.Now().Add(-time.Minute)
		a := attention{troubles{{ID: "d1", Model: "pump", Site: "north", Since: since}, {ID: "d2", Stuck: true, Since: since}}, &got, "b"}
		ctx, cancel := context.WithCancel(t.Context())
		go a.run(ctx)
		time.Sleep(10*time.Second + 1)
		synctest.Wait()
		cancel()
		if len(got) != 2 {
			t.Fatalf("points %+v, want two", got)
		}
		for i, want := range []map[string]string{
			{"device": "d1", "bridge": "b", "reason": "silent", "model": "pump", "site": "north"}, {"device": "d2", "bridge": "b", "reason": "stuck"},
		} {
			p := got[i]
			if len(p.tags) != len(want) || p.measurement != "attention" || p.fields["seconds"] != 70.0 {
				t.Errorf("point %+v", p)
			}
			for tag, value := range want {
				if p.tags[tag] != value {
					t.Errorf("tag %s is %q, want %q", tag, p.tags[tag], value)
				}
			}
		}
	})
}
