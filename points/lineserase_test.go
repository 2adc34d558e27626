package points

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDeviceOfALine(t *testing.T) {
	for line, want := range map[string]string{
		`pump,device=pump-1,model=pump t=1 5`:        "pump-1",
		`pump,model=pump,device=a:b t="device=x" 5`:  "a:b",
		`process,id=b up=1 7`:                        "",
		`we\ ird,x=a\,device\=no,device=d s="a b" 7`: "d",
		`process up=1 7`:                             "",
	} {
		if got := DeviceOf(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// Whatever lines there are, those of the devices are gone, and the others can be read from
// as many bytes.
func TestLinesOfDevicesAreErased(t *testing.T) {
	at := time.UnixMilli(5).UTC()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			device := rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "device")
			text := rapid.StringMatching(`[ -!#-\[\]-~]{0,80}`).Draw(t, "text")
			if device == "" {
				return fmt.Sprintf(`process s="%s" 1`, text)
			}
			return fmt.Sprintf(`pump,device=%s s="%s" 1`, device, text)
		}), 1, 40).Draw(t, "lines")
		erased := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "d"})).Draw(t, "erased")
		of := func(line string) bool { d := DeviceOf(line); return d != "" && slices.Contains(erased, d) }
		want := slices.DeleteFunc(slices.Clone(lines), of)

		r := LinesRecord(lines, at)
		rest, changed, err := EraseLines(r, func(device string) bool { return slices.Contains(erased, device) })
		if err != nil || changed != (len(want) < len(lines)) {
			t.Fatalf("%v, %v of %q", changed, err, lines)
		}
		switch {
		case !changed:
			return
		case len(want) == 0:
			if rest != nil {
				t.Fatalf("%v is left of %q", rest, lines)
			}
			return
		}
		got, err := Lines(*rest)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
		if len(rest.Data) != len(r.Data) {
			t.Logf("%d bytes in place of %d", len(rest.Data), len(r.Data)) // of few lines
		}
		if !rest.At.Equal(at) || rest.Kind != KindLines || len(rest.Data) < len(r.Data) {
			t.Fatalf("%d bytes of kind %d from %v; want at least %d", len(rest.Data), rest.Kind, rest.At, len(r.Data))
		}
	})
}

func TestWhatIsNotARecordOfLinesIsNotErased(t *testing.T) {
	r := LinesRecord([]string{"pump,device=a x=1 1", "pump,device=b x=1 1"}, time.Now())
	r.Data = r.Data[:len(r.Data)/2]
	if _, changed, err := EraseLines(r, func(string) bool { return true }); err == nil || changed {
		t.Errorf("%v, %v of half a record", changed, err)
	}
}

// Of usual batches, what is left fits.
func TestWhatIsLeftOfABatchFits(t *testing.T) {
	for n := 2; n < 200; n += 7 {
		var lines []string
		for i := range n {
			lines = append(lines, fmt.Sprintf(`transitions,device=pump-%d,event=crash_loop,from=online,model=pump,site=north,to=reprovisioning count=1i,state="s%d" 17640000000%08d`, i, i*i, i*i*7919))
		}
		r := LinesRecord(lines, time.Now())
		rest, _, err := EraseLines(r, func(device string) bool { return device == fmt.Sprint("pump-", n/2) })
		if err != nil || len(rest.Data) != len(r.Data) {
			t.Errorf("%d lines: %d bytes in place of %d, %v", n, len(rest.Data), len(r.Data), err)
		}
		if got, err := Lines(*rest); err != nil || len(got) != n-1 || strings.Contains(strings.Join(got, "\n"), fmt.Sprintf("device=pump-%d,", n/2)) {
			t.Errorf("%d lines: %d left, %v", n, len(got), err)
		}
	}
}
