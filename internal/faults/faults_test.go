package faults

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEveryFaultIsReported(t *testing.T) {
	var l List
	l.Add(nil)
	l.Check(true, "not reported")
	l.Between("window", 1, 1, 1)
	l.Positive("timeout", time.Second)
	l.NotNegative("linger", 0)
	l.Ordered("wait", time.Second, time.Second)
	if err := l.Err(); err != nil {
		t.Fatalf("no fault: %v", err)
	}
	cause := errors.New("cause")
	l.Add(cause)
	l.Check(false, "name %q", "x")
	l.Between("window", 3, 1, 2)
	l.Positive("timeout", 0)
	l.NotNegative("linger", -time.Second)
	l.Ordered("wait", 2*time.Second, time.Second)
	want := `cause
name "x"
window 3: expected 1 to 2
timeout 0s: expected a positive duration
linger -1s: expected a duration of at least 0s
wait from 2s to 1s: expected positive durations, the first not above the second`
	if err := l.Err(); err == nil || err.Error() != want || !errors.Is(err, cause) || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("got\n%v", err)
	}
}
