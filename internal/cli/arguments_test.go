package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"devicetwin/source"
)

func TestNegativeNumbersAreArguments(t *testing.T) {
	for args, want := range map[string]string{
		"try d t -5.5":            "try d t -- -5.5",
		"try d t -1e3":            "try d t -- -1e3",
		"try --received=x t -5":   "try --received=x t -- -5",
		"try d t 5":               "try d t 5",
		"try d t -":               "try d t -",
		"try d t -x":              "try d t -x",
		"try d t -inf":            "try d t -inf",
		"try d t -nan":            "try d t -nan",
		"tap -n -5":               "tap -n -5",
		"try d t -- -5":           "try d t -- -5",
		"try -5 d":                "try -5 d",
		"-5":                      "-5",
		"try d t -5 --received x": "try d t -5 --received x",
	} {
		given := strings.Fields(args)
		if got := strings.Join(withNumber(given), " "); got != want {
			t.Errorf("%s: %s; want %s", args, got, want)
		}
		if strings.Join(given, " ") != args {
			t.Errorf("%s: the arguments themselves are changed", args)
		}
	}
}

func TestFaultsPrintedAreBounded(t *testing.T) {
	var faults source.Faults
	for i := range maxFaults + 7 {
		faults = append(faults, source.Fault{File: "a.yaml", Message: fmt.Sprintf("fault %d.", i)})
	}
	for n, want := range map[int]string{maxFaults: "", maxFaults + 1: "and 1 more fault\n", maxFaults + 7: "and 7 more faults\n"} {
		var out bytes.Buffer
		complain(&out, "devicetwin", errors.Join(faults[:n]))
		got := out.String()
		if strings.Count(got, "fault ") != maxFaults+strings.Count(want, "fault ") || !strings.Contains(got, fmt.Sprintf("fault %d.", maxFaults-1)) || want != "" && !strings.HasSuffix(got, want) {
			t.Errorf("%d faults: %s", n, got)
		}
	}
}
