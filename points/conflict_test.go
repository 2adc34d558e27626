package points

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// typedServer refuses values for which a field has another type in their shard, as
// InfluxDB does: the other points of the request are written.
type typedServer struct {
	types map[string]string // of measurement, day and field, as the end of its name
	taken map[string]bool
}

func (s *typedServer) answer(_ int, lines []string) (int, string) {
	refused, reason := 0, ""
	for _, line := range lines {
		p := parseLine(line)
		bad := false
		for _, f := range p.fields() {
			key := fmt.Sprintf("%s %d %s", p.measurement, p.hour/24, f.name)
			if have := s.types[key]; have != "" && have != f.end && !bad {
				bad = true
				if reason == "" {
					reason = fmt.Sprintf(`field type conflict: input field "%s" on measurement "%s" is type x, already exists as type y`,
						strings.ReplaceAll(f.name, `\`, ""), strings.ReplaceAll(p.measurement, `\`, ""))
				}
			}
		}
		if bad {
			refused++
			continue
		}
		s.taken[line] = true
	}
	if refused > 0 {
		return http.StatusBadRequest, fmt.Sprintf("partial write: %s dropped=%d", reason, refused)
	}
	return http.StatusNoContent, ""
}

func TestNoValueIsLostToAConflictOfTypes(t *testing.T) {
	day := int64(24 * time.Hour)
	s := typedServer{taken: map[string]bool{}, types: map[string]string{
		"pump 0 humidity":             endString,
		"pump 0 t":                    endBool,
		`a\ model 0 odd\,\ \="\ name`: endString,
	}}
	server := newInfluxServer(t, s.answer)
	c := testConfig(server.URL)
	c.FlushEvery = time.Hour
	w, stop := startWriter(t, c, slog.New(slog.DiscardHandler))
	var mu sync.Mutex
	var refused []Refusal
	w.OnRefused(func(r Refusal) { mu.Lock(); defer mu.Unlock(); refused = append(refused, r) })
	var want []string
	for i := range int64(300) {
		at := time.Unix(0, i%3*day+i)
		w.WriteReading("pump", "d", []byte(`{"humidity":1,"t":2,"s":"a, b c=\"1\"","u":3}`), nil, at)
		line := "pump,device=d,model=pump humidity=1,s:string=\"a, b c=\\\"1\\\"\",t=2,u=3 "
		if i%3 == 0 {
			line = "pump,device=d,model=pump humidity:number=1,s:string=\"a, b c=\\\"1\\\"\",t:number=2,u=3 "
		}
		want = append(want, line+fmt.Sprint(at.UnixNano()))
	}
	w.WriteReading("a model", "d", []byte(`{"odd, =\" name":1}`), nil, atNine)
	want = append(want, `a\ model,device=d,model=a\ model odd\,\ \="\ name:number=1 9`)
	stop()
	var got []string
	for line := range s.taken {
		got = append(got, line)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d; the first %q, want %q", len(got), len(want), got[:1], want[:1])
	}
	if w.Metric("points_written_total") != 301 || w.Metric("points_refused_total") != 0 || len(refused) != 0 || w.counts.bytes() != 0 {
		t.Errorf("%v written, %v refused: %+v, %d bytes", w.Metric("points_written_total"), w.Metric("points_refused_total"), refused, w.counts.bytes())
	}
}

// A conflict that is known costs no further requests, until it is forgotten.
func TestAConflictIsRemembered(t *testing.T) {
	s := typedServer{taken: map[string]bool{}, types: map[string]string{"pump 0 a": endString}}
	server := newInfluxServer(t, s.answer)
	c := testConfig(server.URL)
	c.BatchPoints = 1
	w, stop := startWriter(t, c, slog.New(slog.DiscardHandler))
	for i := range 50 {
		w.WriteReading("pump", "d", []byte(`{"a":1}`), nil, time.Unix(0, int64(i)))
	}
	stop()
	if len(s.taken) != 50 || server.requests != 51 {
		t.Errorf("%d points in %d requests", len(s.taken), server.requests)
	}

	memory := conflicts{}
	now := time.Now()
	b := newBatch([]string{"pump a=1,b=2 5"})
	memory.remember(conflict{"pump", "a", endNumber, 0}, now)
	if got := memory.applied(b, now).lines[0]; got != "pump a:number=1,b=2 5" {
		t.Error(got)
	}
	if got := memory.applied(b, now.Add(2*conflictsExpire)).lines[0]; got != "pump a=1,b=2 5" || len(memory) != 0 {
		t.Error(got)
	}
	for i := range int64(2 * keptConflicts) {
		memory.remember(conflict{"pump", "a", endNumber, i}, now)
	}
	if len(memory) > keptConflicts {
		t.Errorf("%d are remembered", len(memory))
	}
}

// A name that has a type already has no other one: such a value is refused, and
// reported.
func TestWhatCannotBeWrittenIsReported(t *testing.T) {
	s := typedServer{taken: map[string]bool{}, types: map[string]string{"pump 0 a:string": endNumber}}
	server := newInfluxServer(t, s.answer)
	w, stop := startWriter(t, testConfig(server.URL), slog.New(slog.DiscardHandler))
	var refused []Refusal
	w.OnRefused(func(r Refusal) { refused = append(refused, r) })
	for i := range int64(8) {
		w.WriteReading("pump", fmt.Sprint("d", i), []byte(`{"b":2}`), nil, time.Unix(0, i))
	}
	w.WriteReading("pump", "bad", []byte(`{"a":"x"}`), nil, atNine)
	w.WritePoint("own", map[string]string{"device": "d"}, map[string]any{"a": 1.0}, atNine)
	stop()
	if len(s.taken) != 9 || w.Metric("points_refused_total") != 1 {
		t.Errorf("%d points, %v refused", len(s.taken), w.Metric("points_refused_total"))
	}
	if len(refused) != 1 || refused[0].Device != "bad" || refused[0].Model != "pump" || refused[0].Reason != RefusedByInfluxDB ||
		refused[0].Count != 1 || !refused[0].Time.Equal(atNine) || refused[0].Value != `a:string="x"` || !strings.Contains(refused[0].Detail, "conflict") {
		t.Errorf("refused: %+v", refused)
	}
}
