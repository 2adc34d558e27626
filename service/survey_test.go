package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/bridge/ingest"
)

// surveys are what a bridge finds, one time after the other.
type surveys struct {
	t   *testing.T
	all []ingest.Survey
}

func (s *surveys) Survey(_ context.Context, _ time.Time, talkers, groups int) ingest.Survey {
	if talkers != 20 || groups != 200 {
		s.t.Errorf("asked for %d talkers and %d groups", talkers, groups)
	}
	next := s.all[0]
	s.all = s.all[1:]
	return next
}

func (p birthPoint) String() string {
	var tags []string
	for _, tag := range slices.Sorted(maps.Keys(p.tags)) {
		tags = append(tags, tag+"="+p.tags[tag])
	}
	return fmt.Sprint(p.measurement, " ", strings.Join(tags, ","), " ", p.fields)
}

// A group that is gone is written once more, with nothing: else the last numbers would count
// on.
func TestASurveyIsWritten(t *testing.T) {
	north := ingest.Group{Model: "pump", Site: "north", Firmware: "1.4", Connections: ingest.Connections{Offline: 1, Silent: 2, Online: 3}}
	unknown := ingest.Group{Connections: ingest.Connections{Online: 1}}
	loud := ingest.Talker{ID: "d1", Model: "pump", Site: "north", Messages: 12, Bytes: 300, Share: .5}
	synctest.Test(t, func(t *testing.T) {
		var got birthPoints
		s := &survey{bridge: &surveys{t, []ingest.Survey{
			{Talkers: []ingest.Talker{loud, {ID: "d2", Messages: 1}}, Groups: []ingest.Group{north, unknown}},
			{Groups: []ingest.Group{unknown}},
			{Groups: []ingest.Group{unknown}},
		}}, points: &got, name: "b"}
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		go s.run(ctx)
		time.Sleep(10*time.Second + 2*time.Minute + 1)
		synctest.Wait()
		cancel()
		want := []string{
			"talkers bridge=b,device=d1,model=pump,site=north map[bytes:300 messages:12 share:0.5]",
			"talkers bridge=b,device=d2 map[bytes:0 messages:1 share:0]",
			"known_devices bridge=b,firmware=1.4,model=pump,site=north map[offline:1 online:3 silent:2]",
			"known_devices bridge=b map[offline:0 online:1 silent:0]",
			"known_devices bridge=b map[offline:0 online:1 silent:0]",
			"known_devices bridge=b,firmware=1.4,model=pump,site=north map[offline:0 online:0 silent:0]",
			"known_devices bridge=b map[offline:0 online:1 silent:0]",
		}
		if len(got) != len(want) {
			t.Fatalf("%d points, want %d: %v", len(got), len(want), got)
		}
		for i, p := range got {
			if p.String() != want[i] {
				t.Errorf("point %d: %v, want %s", i, p, want[i])
			}
		}
		for i, after := range map[int]time.Duration{0: 10 * time.Second, 4: 70 * time.Second, 6: 130 * time.Second} {
			if !got[i].at.Equal(began.Add(after)) {
				t.Errorf("point %d is of %v after the start, want %v", i, got[i].at.Sub(began), after)
			}
		}
	})
}
