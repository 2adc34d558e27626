package window

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzState: what is read is written as it was, and a state that a window accepts can be
// used with it.
func FuzzState(f *testing.F) {
	for _, text := range []string{
		`null`, `{}`, `{"t":1795953600000,"l":3,"c":29932559,"late":2,"p":[[29932560,3],[29932561,1,2.5,40]]}`,
		`{"p":[[29932560,3,0,0,"AAAAAAAAAAEAAAAAAAAAAg"]]}`, `{"p":[[-5,1,-0]],"c":-9007199254740992}`,
	} {
		f.Add([]byte(text))
	}
	var windows []*Window
	for _, a := range Aggregates {
		windows = append(windows,
			compile(f, Spec{Aggregate: a, Over: time.Minute, Grace: 10 * time.Second}),
			compile(f, Spec{Aggregate: a, Over: time.Minute, Slide: 3 * time.Second}))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s State
		if err := json.Unmarshal(text, &s); err != nil {
			return
		}
		written, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("%s cannot be written: %v", text, err)
		}
		var back State
		if err := json.Unmarshal(written, &back); err != nil {
			t.Fatalf("%s was written as %s: %v", text, written, err)
		}
		if again, _ := json.Marshal(back); string(again) != string(written) {
			t.Fatalf("%s, then %s", written, again)
		}
		for _, w := range windows {
			if w.Accepts(back) == nil {
				use(t, w, back)
			}
		}
	})
}

// use does with a state what a machine does.
func use(t *testing.T, w *Window, s State) {
	for i, at := range []int64{1_795_953_600_000, 1_795_953_600_000, 1_795_953_500_000, 1_795_953_660_000} {
		closed := 0
		for w.Full(s, at) || w.Due(s, at) {
			if s, _ = w.Close(s); closed > MaxPanes*int(w.length) {
				t.Fatal("there is no end to the windows that close")
			}
			closed++
		}
		s, _ = w.Add(s, Sample{At: at, Arrived: at + 5, Dated: i%2 == 0, Value: value(t, w, float64(i))})
		w.Current(s, w.Now(s, at+1000))
		if s.Panes() > w.Panes() {
			t.Fatalf("%d panes, at most %d", s.Panes(), w.Panes())
		}
		if err := w.Accepts(s); err != nil {
			t.Fatalf("its own state: %v", err)
		}
	}
}
