package simulator

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func sampleReport() Report {
	return Report{
		Version: ReportVersion, Scenario: "pump", Model: "pump", ModelHash: "0123abcd", Seed: 1,
		Devices: 100, Rate: 1, DurationS: 61, DrainS: 3.4,
		Sent: 6741, Relevant: 837, Applied: 836, Lost: 1, DeadLetters: 2, DeadLettersMeant: 2,
		DuplicatesSent: 123, Reconnects: 95, CommandsReceived: 59, DevicesUnsettled: 1,
		SequencesCompleted: 55, ReprovisionsExpected: 54, ReprovisionsDone: 54, ReprovisionRetries: 5, Quarantined: 1,
		MessagesPerSecond: 108.15, Signals: 700, EventsPerSignal: 1.194,
		Latency: Latencies{
			EventToState:      Quantiles{Count: 836, P50: 8.1, P95: 20.25, P99: 33.125, P999: 80, Max: 81.5},
			SequenceToCommand: Quantiles{Count: 54, P50: 30, P95: 60, P99: 90, P999: 1234.5, Max: 1234.5},
		},
	}
}

func TestReportForPrograms(t *testing.T) {
	r := sampleReport()
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b)
}

func TestReportForPeople(t *testing.T) {
	r := sampleReport()
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", b.Bytes())
}

func TestReportTellsOfRepetitions(t *testing.T) {
	r := sampleReport()
	r.Optional, r.LeftOut, r.Crossings = 4000, 3900, 12
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4000 that can do nothing, 3900 of them left out", "crossed 12 times"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestReportIsCleanOnlyWithoutFault(t *testing.T) {
	clean := Report{Applied: 1, DeadLetters: 3, DeadLettersMeant: 3, ReprovisionRetries: 2, Quarantined: 1, Unacknowledged: 1}
	if clean.verify(); !clean.Clean {
		t.Error("nothing is wrong, but not clean")
	}
	for name, spoil := range map[string]func(*Report){
		"lost":         func(r *Report) { r.Lost = 1 },
		"duplicated":   func(r *Report) { r.Duplicated = 1 },
		"reordered":    func(r *Report) { r.Reordered = 1 },
		"unexpected":   func(r *Report) { r.Unexpected = 1 },
		"missing":      func(r *Report) { r.ReprovisionsMissing = 1 },
		"spurious":     func(r *Report) { r.ReprovisionsSpurious = 1 },
		"dead letters": func(r *Report) { r.DeadLetters++ },
		"unsettled":    func(r *Report) { r.DevicesUnsettled = 1 },
		"nothing done": func(r *Report) { r.Applied = 0 },
	} {
		r := clean
		spoil(&r)
		if r.verify(); r.Clean {
			t.Errorf("%s: clean", name)
		}
	}
}

func sampleProgress(second int) Progress {
	return Progress{
		Phase: PhaseRunning, Elapsed: time.Duration(second) * time.Second, Planned: time.Minute,
		Devices: 100, Connected: 98, Sent: 1200, MessagesPerSecond: 101.4, EventsPerSecond: 12.6,
		States: map[string]int{"online": 95, "overheated": 4, "quarantined": 1, "empty": 0}, Reprovisions: 7,
		SequenceToCommandP99: 83 * time.Millisecond,
	}
}

func TestRendererWithoutTerminal(t *testing.T) {
	var b strings.Builder
	r := NewRenderer(&b, false)
	for second := range 12 {
		r.Show(sampleProgress(second))
	}
	settling := sampleProgress(12)
	settling.Phase, settling.Waiting, settling.Trouble = PhaseSettling, 3, "device pump-0001: connection refused"
	r.Show(settling)
	golden(t, "progress.txt", []byte(b.String()))
}

func TestRendererOnTerminal(t *testing.T) {
	var b strings.Builder
	r := NewRenderer(&b, true)
	r.Show(sampleProgress(1))
	r.Show(sampleProgress(2))
	r.Done()
	if got := strings.Count(b.String(), "\x1b[3A"); got != 1 {
		t.Errorf("went up %d times, want once, by the three lines of the picture:\n%q", got, b.String())
	}
	b.Reset()
	r.Show(sampleProgress(3))
	if strings.Contains(b.String(), "A") {
		t.Errorf("drew over the picture that Done left standing:\n%q", b.String())
	}
}

func TestNotesBetweenPictures(t *testing.T) {
	cut := sampleProgress(1)
	cut.Cut = []string{"north", "south"}
	early := sampleProgress(8)
	early.Phase = PhaseSettling
	for terminal, want := range map[bool]string{
		false: "running    0:01 of 1:00  98/100 connected  gateway of north, south is cut  101",
		true:  "\x1b[3A\r\x1b[Ja pump is silent\n\r\x1b[Krunning",
	} {
		var b strings.Builder
		r := NewRenderer(&b, terminal)
		r.Show(cut)
		r.Note("a pump is silent")
		r.Show(sampleProgress(7))
		r.Show(sampleProgress(60))
		r.Note("goodbye, before the next picture")
		r.Show(early)
		r.Note("goodbye, of a run that ended early")
		if !strings.Contains(b.String(), want) || strings.Count(b.String(), "a pump is silent\n") != 1 || strings.Contains(b.String(), "goodbye") {
			t.Errorf("terminal %v: %q", terminal, b.String())
		}
	}
}

func TestReportTellsOfAlarms(t *testing.T) {
	r := sampleReport()
	r.GatewayCuts, r.AlarmsExpected, r.AlarmsMissing, r.AlarmsExplained = 3, 2, 1, 44
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 cut\n", "1 of 2 expected raised, 1 missing, 0 spurious; the silence of 44 devices explained\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestLatencies(t *testing.T) {
	l := newLatencies()
	if got := l.quantiles(); got != (Quantiles{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for i := range 1000 {
		l.observe(time.Duration(i+1) * time.Millisecond)
	}
	l.observe(-time.Second)
	near := func(got, want float64) bool { return got >= want*0.998 && got <= want*1.002 }
	q := l.quantiles()
	if q.Count != 1001 || !near(q.P50, 500) || !near(q.P95, 950) || !near(q.P99, 990) || !near(q.P999, 999) || !near(q.Max, 1000) {
		t.Errorf("of 1 to 1000 ms: %+v", q)
	}
	l.observe(100 * time.Hour)
	if got := l.quantiles().Max; got < longestLatency.Seconds()*1000*0.999 {
		t.Errorf("what is beyond the greatest counts as %g ms", got)
	}
}
