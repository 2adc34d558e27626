package simulator

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// story reads facts from words, one at a time step of a second or at the second
// named behind "@":
//
//	match            the sequence is completed
//	c1 c2            a command is received
//	born:c1 no:c1    it is obeyed, or refused
//	away             the device goes offline on purpose
func story(t *testing.T, text string) []fact {
	t.Helper()
	var facts []fact
	at := -time.Second
	for i, word := range strings.Fields(text) {
		word, when, placed := strings.Cut(word, "@")
		at += time.Second
		if placed {
			d, err := time.ParseDuration(when)
			if err != nil {
				t.Fatal(err)
			}
			at = d
		}
		f := fact{at: instant(at), number: number{100, uint64(i + 1)}}
		kind, id, _ := strings.Cut(word, ":")
		switch {
		case kind == "match":
			f.kind = factCompleted
		case kind == "born":
			f.kind, f.id = factBirth, id
		case kind == "no":
			f.kind, f.id = factRefusal, id
		case kind == "away":
			f.kind = factOffline
		case strings.HasPrefix(kind, "c"):
			f.kind, f.id, f.issued = factCommand, kind, instant(at)
		case strings.HasPrefix(kind, "u"): // does not say when it was made
			f.kind, f.id = factCommand, kind
		default:
			t.Fatalf("unknown word %q", word)
		}
		facts = append(facts, f)
	}
	return facts
}

func TestOracle(t *testing.T) {
	tests := []struct {
		name  string
		story string
		slow  time.Duration // until a message is durable
		want  string
	}{
		{"nothing", "", 0, "completed 0, expected 0"},
		{"as it should be", "match c1 born:c1", 0, "completed 1, expected 1, done 1"},
		{"twice", "match c1 born:c1 match c2 born:c2", 0, "completed 2, expected 2, done 2"},
		{"no command", "match", 0, "completed 1, expected 1, missing 1, open"},
		{"no command for the second", "match c1 born:c1 match", 0, "completed 2, expected 2, done 1, missing 1, open"},
		{"out of nothing", "c1", 0, "completed 0, expected 0, spurious 1"},
		{"one too many after the birth", "match c1 born:c1 c2", 0, "completed 1, expected 1, done 1, spurious 1"},
		{"one too many before the birth", "match c1 c2 born:c2", 0, "completed 1, expected 1, done 1, spurious 1"},
		{"completed again in between", "match c1 match match born:c1", 0, "completed 3, expected 1, done 1"},
		{"refused, then obeyed", "match c1 no:c1 c2 born:c2", 0, "completed 1, expected 1, done 1, retries 1"},
		{"ignored, then obeyed", "match@0s c1@1s c2@16s born:c2@17s", 0, "completed 1, expected 1, done 1, retries 1"},
		{"retried too early", "match@0s c1@1s c2@12s born:c2@13s", 0, "completed 1, expected 1, done 1, spurious 1"},
		{"refused to the end", "match c1 no:c1 c2 no:c2 c3 no:c3", 0, "completed 1, expected 1, done 1, retries 2, quarantined"},
		{"nothing is expected of the quarantined", "match c1 no:c1 c2 no:c2 c3 no:c3 match match", 0, "completed 3, expected 1, done 1, retries 2, quarantined"},
		{"a command to the quarantined", "match c1 no:c1 c2 no:c2 c3 no:c3 c4", 0, "completed 1, expected 1, done 1, retries 2, spurious 1, quarantined"},
		{"ignored to the end", "match@0s c1@1s c2@16s c3@31s away@60s", 0, "completed 1, expected 1, done 1, retries 2, quarantined"},
		{"ignored, waiting for the next", "match@0s c1@1s away@10s", 0, "completed 1, expected 1, done 1, open"},
		{"ignored, and nothing came", "match@0s c1@1s away@60s", 0, "completed 1, expected 1, done 1"},
		{"a birth of an older command", "match@0s c1@1s c2@16s born:c1@17s", 0, "completed 1, expected 1, done 1, retries 1, open"},
		{"a birth that took too long: one more is right", "match@0s c1@1s born:c1@2s c2@16s born:c2@17s", 20 * time.Second, "completed 1, expected 1, done 1, retries 1"},
		{"a birth in time: one more is wrong", "match@0s c1@1s born:c1@2s c2@16s born:c2@17s", time.Second, "completed 1, expected 1, done 1, spurious 1"},
		{"the last birth took too long: who knows", "match@0s c1@1s c2@16s c3@31s born:c3@32s match@60s", 20 * time.Second, "completed 2, expected 1, done 1, retries 2, uncertain 1"},
		{"the last birth took too long, but not for the workflow", "match@0s c1@1s c2@16s c3@31s born:c3@32s match@60s c4 born:c4", 20 * time.Second, "completed 2, expected 2, done 2, retries 2"},
		{"each birth took too long: who knows", "match@0s c1@1s born:c1@2s match@3s c2@16s born:c2@17s match@18s c3@31s born:c3@32s match@50s", time.Minute,
			"completed 4, expected 3, done 3, uncertain 1"},
		{"without a time: the first was late", "match@0s u1@4s u2@16s born:u2@17s", 0, "completed 1, expected 1, done 1, retries 1"},
		{"without a time: retried too early", "match@0s u1@1s u2@12s born:u2@13s", 0, "completed 1, expected 1, done 1, spurious 1"},
		{"without a time: retried twice too early", "match@0s u1@1s u2@16s u3@27s born:u3@28s", 0, "completed 1, expected 1, done 1, retries 1, spurious 1"},
		{"without a time: refused, then ignored", "match@0s u1@1s no:u1@2s u2@3s u3@17s born:u3", 0, "completed 1, expected 1, done 1, retries 2"},
		{"without a time: ignored to the end", "match@0s u1@9s u2@16s u3@31s away@49s", 0, "completed 1, expected 1, done 1, retries 2, quarantined"},
		{"without a time: the end is not there yet", "match@0s u1@9s u2@16s u3@40s away@46s", 0, "completed 1, expected 1, done 1, retries 2, open"},
		{"without a time: a birth that may have taken too long", "match@0s u1@9s born:u1@13s u2@16s born:u2@17s", 2 * time.Second, "completed 1, expected 1, done 1, retries 1"},
		{"offline before the command", "match@0s away@1s c1@5s born:c1", 0, "completed 1, expected 1, done 1, unmeasured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			facts := story(t, tt.story)
			sent := map[number]time.Time{}
			now := instant(0)
			for _, f := range facts {
				sent[f.number], now = f.at, f.at
			}
			v := decide(crashLoop, evidence{
				facts: facts, now: now,
				unacknowledged: func(number) bool { return false },
				durable:        func(n number) (time.Time, bool) { at, ok := sent[n]; return at.Add(tt.slow), ok },
			})
			if got := verdictWords(v); got != tt.want {
				t.Errorf("%s\n got %s\nwant %s", tt.story, got, tt.want)
			}
		})
	}
}

func verdictWords(v Verdict) string {
	words := fmt.Sprintf("completed %d, expected %d", v.Completed, v.Expected)
	for _, n := range []struct {
		name  string
		count int
	}{{"done", v.Done}, {"missing", v.Missing}, {"retries", v.Retries}, {"spurious", v.Spurious}, {"uncertain", v.Uncertain}} {
		if n.count > 0 {
			words += fmt.Sprintf(", %s %d", n.name, n.count)
		}
	}
	if v.Quarantined {
		words += ", quarantined"
	}
	if v.Open {
		words += ", open"
	}
	if len(v.Latencies) < v.Done {
		words += ", unmeasured"
	}
	return words
}

// A completion that the broker never acknowledged may not have happened for the
// service.
func TestOracleOnUnacknowledged(t *testing.T) {
	for text, want := range map[string]string{
		"match":            "completed 1, expected 0, uncertain 1",
		"match c1 born:c1": "completed 1, expected 1, done 1",
	} {
		v := decide(crashLoop, evidence{
			facts: story(t, text), now: instant(time.Minute),
			unacknowledged: func(n number) bool { return n.seq == 1 },
			durable:        func(number) (time.Time, bool) { return time.Time{}, false },
		})
		if got := verdictWords(v); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
