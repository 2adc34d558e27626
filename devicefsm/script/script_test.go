package script

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/devicefsm"
	"devicetwin/internal/testfile"
	"devicetwin/source"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", file, got, want)
	}
}

func loadModel(t testing.TB, file string) *devicefsm.Model {
	t.Helper()
	src := readFile(t, file)
	m, err := devicefsm.Load(file, src)
	if err != nil {
		t.Fatalf("load %s:\n%s", file, pretty(err))
	}
	return m
}

func readFile(t testing.TB, file string) []byte {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func parse(t testing.TB, file string, src []byte) *Script {
	t.Helper()
	s, err := Parse(filepath.Base(file), src)
	if err != nil {
		t.Fatalf("parse %s:\n%s", file, pretty(err))
	}
	return s
}

func pretty(err error) string {
	var faults source.Faults
	if errors.As(err, &faults) {
		return faults.Pretty()
	}
	return err.Error()
}

func TestEveryExampleModelHasAScriptThatHolds(t *testing.T) {
	for _, file := range testfile.Models(t, "../../models") {
		stem := strings.TrimSuffix(file, ".yaml")
		t.Run(filepath.Base(stem), func(t *testing.T) {
			if r := parse(t, stem+".script", readFile(t, stem+".script")).Run(loadModel(t, file)); !r.OK() {
				t.Error(r)
			}
		})
	}
}

func TestExpectationsThatHold(t *testing.T) {
	src := readFile(t, "testdata/lamp.script")
	s := parse(t, "lamp.script", src)
	r := s.Run(loadModel(t, "testdata/lamp.yaml"))
	if !r.OK() || r.Tests != 3 || r.Inputs != 11 {
		t.Errorf("%d tests, %d inputs\n%s", r.Tests, r.Inputs, r)
	}
	if got := s.Update(r); !bytes.Equal(got, src) {
		t.Errorf("an update of what holds changes it:\n%s", got)
	}
}

func TestDifferencesAreReported(t *testing.T) {
	r := parse(t, "wrong.script", readFile(t, "testdata/wrong.script")).Run(loadModel(t, "testdata/lamp.yaml"))
	golden(t, "testdata/wrong.golden", r.String())
}

func TestUpdateFixesScripts(t *testing.T) {
	m := loadModel(t, "testdata/lamp.yaml")
	s := parse(t, "wrong.script", readFile(t, "testdata/wrong.script"))
	text := s.Update(s.Run(m))
	golden(t, "testdata/wrong.updated", string(text))
	again := parse(t, "wrong.script", text)
	r := again.Run(m)
	for _, f := range r.Failures {
		if f.got.problem == "" {
			t.Errorf("still wrong after the update:\n%s", r)
		}
	}
	if len(r.Failures) != 1 {
		t.Errorf("%d failures; only the activity that is not running cannot be fixed", len(r.Failures))
	}
	if second := again.Update(r); !bytes.Equal(second, text) {
		t.Errorf("a second update changes the script again:\n%s", second)
	}
}

// TestUpdateWritesScripts takes all expectations out of the example scripts and
// has them written again.
func TestUpdateWritesScripts(t *testing.T) {
	for _, stem := range []string{"../../models/pump", "../../models/coldchain", "../../models/evcharger", "../../models/shop/customer", "../../models/order/order", "testdata/lamp"} {
		m := loadModel(t, stem+".yaml")
		var bare []string
		for text := range strings.Lines(string(readFile(t, stem+".script"))) {
			if strings.TrimLeft(text, " \t") == text {
				bare = append(bare, text)
			}
		}
		s := parse(t, stem, []byte(strings.Join(bare, "")))
		text := s.Update(s.Run(m))
		if r := parse(t, stem, text).Run(m); !r.OK() {
			t.Errorf("%s:\n%s\n%s", stem, text, r)
		}
	}
}

func TestBrokenScript(t *testing.T) {
	_, err := Parse("broken.script", readFile(t, "testdata/broken.script"))
	golden(t, "testdata/broken.golden", pretty(err))
}

func TestEmptyScript(t *testing.T) {
	for _, src := range []string{"", "\n", "# nothing\n"} {
		if _, err := Parse("empty.script", []byte(src)); err == nil || !strings.Contains(err.Error(), "at least one test") {
			t.Errorf("%q: %v", src, err)
		}
	}
}

func TestTooMuchOnOneLine(t *testing.T) {
	m, err := devicefsm.Load("tick.yaml", []byte("initial: a\nstates: {a: {after: {1s: {target: a, reenter: true, actions: {log: \"'tick'\"}}}}}"))
	if err != nil {
		t.Fatal(err)
	}
	r := parse(t, "tick", []byte("test t\n  state a\n1d wait\n")).Run(m)
	if r.OK() || !strings.Contains(r.String(), "use shorter times") {
		t.Error(r)
	}
}

func TestDueTimersAreBounded(t *testing.T) {
	m, err := devicefsm.Load("tick.yaml", []byte("initial: a\nstates: {a: {after: {1s: {target: a, reenter: true}}}}"))
	if err != nil {
		t.Fatal(err)
	}
	for seconds, fits := range map[time.Duration]bool{9: true, 11: false} {
		d := &player{model: m, most: 10}
		d.take(m.Start(start))
		if d.pass(start.Add(seconds * time.Second)); fits != (d.found.problem == "") {
			t.Errorf("%d timers of at most 10: %q", seconds, d.found.problem)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/broken.script", "testdata/lamp.script", "testdata/wrong.script"} {
		f.Add(readFile(f, file))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := Parse("fuzz", src)
		if err != nil {
			_ = pretty(err)
			return
		}
		once := s.Update(&Report{})
		again, err := Parse("fuzz", once)
		if err != nil {
			t.Fatalf("what was read and written can't be read again: %v", err)
		}
		if !bytes.Equal(again.Update(&Report{}), once) {
			t.Fatal("written differently the second time")
		}
	})
}

// What the service reports of a message is a fault of its line: what failed, and events
// and words that the model does not know, also of messages that change nothing.
func TestFaultsOfMessages(t *testing.T) {
	src := readFile(t, "testdata/faults.script")
	s := parse(t, "faults.script", src)
	m := loadModel(t, "testdata/faults.yaml")
	if r := s.Run(m); !r.OK() || r.Inputs != 13 {
		t.Errorf("%d inputs\n%s", r.Inputs, r)
	}
	lines := strings.Split(string(src), "\n")
	bare := strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "  fault ") }), "\n")
	without := parse(t, "faults.script", []byte(bare))
	r := without.Run(m)
	if len(r.Failures) != 8 {
		t.Errorf("%d failures without the lines of faults, want 8", len(r.Failures))
	}
	if got := parse(t, "faults.script", without.Update(r)).Run(m); !got.OK() {
		t.Errorf("after the update:\n%s", got)
	}
}

func TestFaultsOfOneLineAreBounded(t *testing.T) {
	s := parse(t, "faults.script", []byte("test t\n  state idle\n0s telemetry {temp: b}\n  fault when\n+1s x2000 telemetry {temp: a}\n"))
	r := s.Run(loadModel(t, "testdata/faults.yaml"))
	if text := r.String(); len(r.Failures) != 1 || len(text) > 2000 || !strings.Contains(text, "more than 1000 matches, actions and faults on one line") {
		t.Errorf("%d failures, %d bytes: %.2000s", len(r.Failures), len(text), text)
	}
}

// A script says what a device sends: what the service refuses of every device is an error
// there, and not an event.
func TestNamesThatNoDeviceCanPublish(t *testing.T) {
	for line, want := range map[string]string{
		"0s events device.silent": `3:11: events: a device can't publish "device.silent", which is reserved`,
		"0s events done.x {}":     `events: a device can't publish "done.x"`,
		"0s events a/b":           `events: a device can't publish the name "a/b"`,
		"0s ack a/b":              `ack: a device can't publish the name "a/b"`,
	} {
		_, err := Parse("n.script", []byte("test t\n  state a\n"+line+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
	if _, err := Parse("n.script", []byte("test t\n  state a\n0s event device.silent\n0s ack done.x {}\n")); err != nil {
		t.Error(err)
	}
}

func TestScriptsWithAByteOrderMark(t *testing.T) {
	s, err := Parse("lamp.script", []byte("\ufeffmodel lamp.yaml\ntest t\n  state a\n"))
	if err != nil || s.Model != "lamp.yaml" {
		t.Errorf("%+v, %v", s, err)
	}
}
