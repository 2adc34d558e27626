package simulator

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("not as in %s; go test -update rewrites it. Got:\n%s", file, got)
	}
}

func TestReadScenarioTellsAllFaults(t *testing.T) {
	const file = "faulty.scenario.yaml"
	src, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = ReadScenario(file, src); err == nil {
		t.Fatal("no error")
	}
	golden(t, "faulty.scenario.txt", []byte(err.Error()+"\n"))
}

func TestReadScenarioOfNothing(t *testing.T) {
	for _, src := range []string{"", "[]", "a: [", "scenario: pump"} {
		if _, err := ReadScenario("x.yaml", []byte(src)); err == nil {
			t.Errorf("%q is not a scenario, but there was no error", src)
		}
	}
}

func TestReadScenario(t *testing.T) {
	s := pumpScenario(t)
	if s.Name != "pump" || len(s.Profiles) != 3 || len(s.Faults) != 4 || len(s.Answers) != 4 {
		t.Errorf("read %s with %d profiles, %d fault sequences, %d answers", s.Name, len(s.Profiles), len(s.Faults), len(s.Answers))
	}
	loop := s.Faults[0]
	if loop.Name != "crash_loop" || loop.PerMinute != 0.6 || loop.Messages[0].Times != 3 ||
		loop.Messages[0].Gap != (Range{50 * time.Millisecond, 300 * time.Millisecond}) || loop.Messages[1].Data["code"] != 117.0 {
		t.Errorf("crash_loop is %+v", loop)
	}
	e := s.Expect
	if e.Command != "reprovision" || e.Within != 10*time.Minute || e.Attempts != 3 || e.Timeout != 15*time.Second || unitSteps(e.Sequence) != 4 {
		t.Errorf("expect is %+v", e)
	}
	if s.Profiles[2].Faults["crash_loop"] != 3 || s.Profiles[0].Weight != 85 {
		t.Errorf("profiles are %+v", s.Profiles)
	}
}
