package points

import (
	"compress/flate"
	"io"
	"slices"
	"time"

	"devicetwin/internal/measure"
	"devicetwin/internal/recordlog"
)

// DeviceOf is the device of a line in line protocol, "" if it has none.
func DeviceOf(line string) string {
	p := parseLine(line)
	return p.tag(measure.TagDevice)
}

// EraseLines takes the lines of devices out of a record of KindLines. changed is false if
// there are none. What is left has as many bytes as the record, so that it can take its
// place: bytes behind the lines are of no meaning. In the rare case that it does not fit,
// it has more. Nil: nothing is left.
func EraseLines(r recordlog.Record, erase func(device string) bool) (rest *recordlog.Record, changed bool, err error) {
	lines, err := Lines(r)
	if err != nil {
		return nil, false, err
	}
	left := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		device := DeviceOf(line)
		return device != "" && erase(device)
	})
	switch len(left) {
	case len(lines):
		return nil, false, nil
	case 0:
		return nil, true, nil
	}
	for _, level := range []int{flate.BestSpeed, flate.BestCompression} {
		var e linesEncoder
		if e.z, err = flate.NewWriter(io.Discard, level); err != nil {
			return nil, false, err
		}
		made := e.record(left, r.At)
		if rest = &made; len(made.Data) <= len(r.Data) {
			made.Data = append(made.Data, make([]byte, len(r.Data)-len(made.Data))...)
			return rest, true, nil
		}
	}
	return rest, true, nil
}

// LinesRecord is a record of KindLines.
func LinesRecord(lines []string, at time.Time) recordlog.Record {
	var e linesEncoder
	return e.record(lines, at)
}
