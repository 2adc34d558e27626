package command

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func named(id, name string) Command {
	return Command{ID: id, Name: name, Created: t0, Expires: t0.Add(time.Hour)}
}

// filled is a queue of commands called a, b, c …, with ids 1, 2, 3 ….
func filled(t *testing.T, names ...string) *Queue {
	t.Helper()
	q := &Queue{}
	for i, name := range names {
		if _, _, refused := q.Add(named(fmt.Sprint(i+1), name), false, DefaultLimits()); refused != nil {
			t.Fatal(refused)
		}
	}
	return q
}

func (q *Queue) text() string {
	var b strings.Builder
	if q.Flight != nil {
		fmt.Fprintf(&b, "%s:%s ", q.Flight.ID, q.Flight.Status)
	}
	for _, c := range q.Waiting {
		fmt.Fprintf(&b, "%s ", c.ID)
	}
	b.WriteString("|")
	for _, c := range q.Ended {
		fmt.Fprintf(&b, " %s:%s", c.ID, c.Status)
	}
	return b.String()
}

func TestOneAtATime(t *testing.T) {
	q := filled(t, "a", "b")
	if c, ok := q.Next(t0); !ok || c.ID != "1" || c.Status != Sent || c.Deliveries != 1 {
		t.Fatalf("next %+v", c)
	}
	if c, ok := q.Next(t0); ok {
		t.Fatalf("a second one under way: %+v", c)
	}
	for _, tt := range []struct {
		id      string
		status  Status
		changed bool
		want    string
	}{
		{"2", Succeeded, false, "1:sent 2 |"},
		{"1", "done", false, "1:sent 2 |"},
		{"1", Expired, false, "1:sent 2 |"},
		{"1", Accepted, true, "1:accepted 2 |"},
		{"1", Accepted, false, "1:accepted 2 |"},
		{"1", Failed, true, "2 | 1:failed"},
		{"1", Succeeded, false, "2 | 1:failed"},
	} {
		if _, changed := q.Acknowledge(tt.id, tt.status, nil, "", t0); changed != tt.changed || q.text() != tt.want {
			t.Errorf("answer %s to %s: changed %v, %s; want %v, %s", tt.status, tt.id, changed, q.text(), tt.changed, tt.want)
		}
	}
	if c, ok := q.Next(t0); !ok || c.ID != "2" {
		t.Errorf("next %+v", c)
	}
	if c, ok := q.Again(); !ok || c.ID != "2" || c.Deliveries != 2 {
		t.Errorf("again %+v", c)
	}
	q.Acknowledge("2", Accepted, nil, "", t0)
	if c, ok := q.Again(); ok {
		t.Errorf("accepted, and sent again: %+v", c)
	}
}

func TestExpire(t *testing.T) {
	q := &Queue{}
	for i, ttl := range []time.Duration{3, 1, 2} {
		c := named(fmt.Sprint(i+1), "a")
		c.Expires = t0.Add(ttl * time.Minute)
		q.Add(c, false, DefaultLimits())
	}
	q.Next(t0)
	for _, tt := range []struct {
		after time.Duration
		next  time.Duration
		want  string
	}{
		{59 * time.Second, time.Minute, "1:sent 2 3 |"},
		{time.Minute, 2 * time.Minute, "1:sent 3 | 2:expired"},
		{5 * time.Minute, 0, "| 2:expired 1:expired 3:expired"},
	} {
		q.Expire(t0.Add(tt.after))
		at, ok := q.Deadline()
		if q.text() != tt.want || ok != (tt.next > 0) || ok && !at.Equal(t0.Add(tt.next)) {
			t.Errorf("after %v: %s, next %v; want %s, %v", tt.after, q.text(), at.Sub(t0), tt.want, tt.next)
		}
	}
}

func TestReplace(t *testing.T) {
	q := filled(t, "a", "a", "b", "a")
	q.Next(t0)
	_, superseded, refused := q.Add(named("5", "a"), true, DefaultLimits())
	if refused != nil || len(superseded) != 2 || q.text() != "1:sent 3 5 | 2:superseded 4:superseded" {
		t.Errorf("%s, refused %v", q.text(), refused)
	}
	if c, _ := q.Find("2"); c.Reason != "by 5" || !c.Ended.Equal(t0) {
		t.Errorf("%+v", c)
	}
}

func TestCancel(t *testing.T) {
	q := filled(t, "a", "b", "c")
	q.Next(t0)
	for _, tt := range []struct {
		id   string
		code int
		want string
	}{
		{"2", 0, "1:sent 3 | 2:cancelled"},
		{"2", 409, "1:sent 3 | 2:cancelled"},
		{"9", 404, "1:sent 3 | 2:cancelled"},
		{"1", 0, "3 | 2:cancelled 1:cancelled"},
	} {
		_, refused := q.Cancel(tt.id, "why", t0)
		if got := code(refused); got != tt.code || q.text() != tt.want {
			t.Errorf("cancel %s: code %d, %s; want %d, %s", tt.id, got, q.text(), tt.code, tt.want)
		}
	}
}

func code(r *device.Refused) int {
	if r == nil {
		return 0
	}
	return r.Code
}

func TestAddRefuses(t *testing.T) {
	small := Limits{Waiting: 2, Bytes: 700, Data: 100, TTL: time.Hour}
	for _, tt := range []struct {
		name   string
		change func(*Command)
		code   int
	}{
		{"good", func(*Command) {}, 0},
		{"no name", func(c *Command) { c.Name = "" }, 400},
		{"a bad name", func(c *Command) { c.Name = "a/b" }, 400},
		{"a long name", func(c *Command) { c.Name = strings.Repeat("a", 65) }, 400},
		{"a long key", func(c *Command) { c.Key = strings.Repeat("a", 129) }, 400},
		{"no JSON", func(c *Command) { c.Data = json.RawMessage("{") }, 400},
		{"too much data", func(c *Command) { c.Data = json.RawMessage(`"` + strings.Repeat("a", 99) + `"`) }, 413},
		{"over at once", func(c *Command) { c.Expires = c.Created }, 400},
		{"for too long", func(c *Command) { c.Expires = c.Created.Add(2 * time.Hour) }, 400},
	} {
		q := &Queue{}
		c := named("1", "a")
		tt.change(&c)
		if _, _, refused := q.Add(c, false, small); code(refused) != tt.code || (tt.code == 0) != (len(q.Waiting) == 1) {
			t.Errorf("%s: %v, %s", tt.name, refused, q.text())
		}
	}
	q := &Queue{}
	q.Add(named("1", "a"), false, small)
	q.Next(t0)
	q.Add(named("2", "b"), false, small)
	if _, _, refused := q.Add(named("3", "c"), false, small); code(refused) != 429 {
		t.Errorf("one too many: %v", refused)
	}
	if _, superseded, refused := q.Add(named("3", "b"), true, small); refused != nil || len(superseded) != 1 {
		t.Errorf("in the place of another: %v, %d superseded", refused, len(superseded))
	}
	bytes := &Queue{}
	for i := range 2 {
		c := named(fmt.Sprint(i), "a")
		c.Data = json.RawMessage(`"` + strings.Repeat("a", 90) + `"`)
		bytes.Add(c, false, Limits{Waiting: 10, Bytes: 700, Data: 100, TTL: time.Hour})
	}
	if _, _, refused := bytes.Add(named("3", "c"), false, Limits{Waiting: 10, Bytes: 700, Data: 100, TTL: time.Hour}); code(refused) != 429 || len(bytes.Waiting) != 2 {
		t.Errorf("too many bytes: %v, %s", refused, bytes.text())
	}
}

func TestKeys(t *testing.T) {
	q := &Queue{}
	c := named("1", "a")
	c.Key = "k"
	q.Add(c, false, DefaultLimits())
	again := c
	again.ID = "2"
	if got, _, refused := q.Add(again, false, DefaultLimits()); refused != nil || got.ID != "1" || len(q.Waiting) != 1 {
		t.Errorf("added again: %+v, %v", got, refused)
	}
	q.Next(t0)
	q.Acknowledge("1", Succeeded, nil, "", t0)
	if got, _, _ := q.Add(again, false, DefaultLimits()); got.ID != "1" || got.Status != Succeeded {
		t.Errorf("added again after its end: %+v", got)
	}
	again.Name = "b"
	if _, _, refused := q.Add(again, false, DefaultLimits()); code(refused) != 422 {
		t.Errorf("another command with the key: %v", refused)
	}
}

// A command of the same name with other data is another command, also when the data
// of the first is forgotten.
func TestKeysOfCommandsOfOneName(t *testing.T) {
	q := &Queue{}
	c := named("1", "a")
	c.Key, c.Print = "k", "one"
	q.Add(c, false, DefaultLimits())
	q.Next(t0)
	q.Acknowledge("1", Succeeded, nil, "", t0)
	for print, want := range map[string]int{"one": 0, "": 0, "two": 422} {
		c.Print = print
		if got, _, refused := q.Add(c, false, DefaultLimits()); code(refused) != want || want == 0 && got.ID != "1" {
			t.Errorf("print %q: %+v, %v, want %d", print, got, refused, want)
		}
	}
}

// What a device says is clipped, and stays JSON.
func TestAnswersAreClipped(t *testing.T) {
	q := filled(t, "a")
	q.Next(t0)
	long := strings.Repeat("ü", 3000)
	raw, _ := json.Marshal(long)
	c, _ := q.Acknowledge("1", Succeeded, raw, long, t0)
	if len(c.Result) > maxResult+20 || !json.Valid(c.Result) || len(c.Reason) > maxReason+5 {
		t.Errorf("%d bytes of result, %d of reason", len(c.Result), len(c.Reason))
	}
}

// Whatever happens: at most one is under way, they are sent in their order, each
// once but for Again, they end once, and the queue stays bounded and is JSON.
func TestQueueProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &Queue{}
		limits := Limits{Waiting: 8, Bytes: 4096, Data: 64, TTL: time.Hour}
		now, count, lastSent := t0, 0, 0
		sent, ended := map[string]int{}, map[string]Status{}
		end := func(list ...Command) {
			for _, c := range list {
				if was, ok := ended[c.ID]; ok {
					t.Fatalf("command %s ended twice: %s and %s", c.ID, was, c.Status)
				}
				ended[c.ID] = c.Status
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := fmt.Sprint(rapid.IntRange(1, count+1).Draw(t, "id"))
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0, 1:
				count++
				c := Command{ID: fmt.Sprint(count), Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), Created: now,
					Expires: now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "ttl")) * time.Minute)}
				_, superseded, _ := q.Add(c, rapid.Bool().Draw(t, "replace"), limits)
				end(superseded...)
			case 2:
				if c, ok := q.Next(now); ok {
					sent[c.ID]++
					var n int
					fmt.Sscan(c.ID, &n)
					if sent[c.ID] > 1 || n <= lastSent {
						t.Fatalf("command %s sent after %d, %d times", c.ID, lastSent, sent[c.ID])
					}
					lastSent = n
				}
			case 3:
				s := rapid.SampledFrom([]Status{Accepted, Succeeded, Failed, Rejected, Expired, "x"}).Draw(t, "status")
				if c, changed := q.Acknowledge(id, s, nil, "", now); changed && c.Status.Ended() {
					end(c)
				}
			case 4:
				if c, refused := q.Cancel(id, "", now); refused == nil {
					end(c)
				}
			case 5:
				now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "minutes")) * time.Minute)
				end(q.Expire(now)...)
				if at, ok := q.Deadline(); ok && !at.After(now) {
					t.Fatalf("something is due at %v, which is over at %v", at, now)
				}
			case 6:
				raw, err := json.Marshal(q)
				if err != nil {
					t.Fatal(err)
				}
				var back Queue
				if err := json.Unmarshal(raw, &back); err != nil {
					t.Fatal(err)
				}
				if again, _ := json.Marshal(back); string(again) != string(raw) {
					t.Fatalf("%s\nbecame\n%s", raw, again)
				}
				*q = back
			}
			if len(q.Waiting) > limits.Waiting || len(q.Ended) > KeptEnded {
				t.Fatalf("%d wait, %d ended", len(q.Waiting), len(q.Ended))
			}
			for _, c := range q.Waiting {
				if c.Status != Waiting {
					t.Fatalf("%+v waits", c)
				}
			}
		}
		for id, s := range ended {
			if c, ok := q.Find(id); ok && c.Status != s {
				t.Fatalf("command %s ended as %s and is %s", id, s, c.Status)
			}
		}
	})
}

func TestEndedIsBounded(t *testing.T) {
	q := &Queue{}
	for i := range 3 * KeptEnded {
		q.Add(named(fmt.Sprint(i), "a"), false, DefaultLimits())
		q.Cancel(fmt.Sprint(i), "", t0)
	}
	if len(q.Ended) != KeptEnded || q.Ended[0].ID != fmt.Sprint(2*KeptEnded) {
		t.Errorf("%d are kept, the first %s", len(q.Ended), q.Ended[0].ID)
	}
}

func TestNames(t *testing.T) {
	got := map[string]bool{}
	for _, name := range []string{"a", "a.b-c_9", "", "ä", "a b", "a/b", "a+", strings.Repeat("a", 64), strings.Repeat("a", 65)} {
		got[name] = device.ValidName(name)
	}
	want := map[string]bool{"a": true, "a.b-c_9": true, "": false, "ä": false, "a b": false, "a/b": false, "a+": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// A late acknowledgement is kept at its command, the newest one, and changes nothing else.
func TestLateAcknowledgements(t *testing.T) {
	var q Queue
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, id := range []string{"a", "b"} {
		if _, _, refused := q.Add(Command{ID: id, Name: "go", Created: at, Expires: at.Add(time.Minute)}, false, DefaultLimits()); refused != nil {
			t.Fatal(refused)
		}
	}
	q.Next(at)
	q.Expire(at.Add(time.Hour)) // both
	if _, changed := q.AcknowledgeLate("nobody", Failed, "", at); changed {
		t.Error("an unknown command")
	}
	if _, changed := q.AcknowledgeLate("a", "done", "", at); changed {
		t.Error("an unknown status")
	}
	for _, s := range []Status{Accepted, Succeeded} {
		c, changed := q.AcknowledgeLate("a", s, strings.Repeat("x", 1000), at.Add(2*time.Hour))
		if !changed || c.Status != Expired || c.Late.Status != s || len(c.Late.Reason) > 300 {
			t.Errorf("%s: %+v, %t", s, c, changed)
		}
	}
	raw, err := json.Marshal(q.Ended[0])
	if err != nil || !strings.Contains(string(raw), `"late":{"status":"succeeded","at":"2026-01-01T02:00:00Z","reason":"xxx`) {
		t.Errorf("%s, %v", raw, err)
	}
	if q.Ended[1].Late != nil {
		t.Errorf("the other one: %+v", q.Ended[1])
	}
}
