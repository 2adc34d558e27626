//go:build ignore

// Command names_gen writes names.txt of the time zone database that comes with Go: the names of
// all zones, and the times of day that changes of clocks leave out, or show twice.
//
//	go generate ./devicefsm/calendar
package main

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"
)

const (
	firstYear, years = 2026, 10
	sampled          = 6 * time.Hour
)

func main() {
	r, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	var lines []string
	for _, f := range r.File {
		if strings.HasSuffix(f.Name, "/") || strings.ToLower(f.Name) == f.Name || f.Name == "Factory" {
			continue
		}
		lines = append(lines, line(f))
	}
	slices.Sort(lines)
	out, err := os.Create("names.txt")
	if err != nil {
		log.Fatal(err)
	}
	w := bufio.NewWriter(out)
	for _, l := range lines {
		fmt.Fprintln(w, l)
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
	if err := out.Close(); err != nil {
		log.Fatal(err)
	}
}

func line(f *zip.File) string {
	rc, err := f.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		log.Fatal(err)
	}
	location, err := time.LoadLocationFromTZData(f.Name, data)
	if err != nil {
		log.Fatal(f.Name, ": ", err)
	}
	var missing, twice []string
	begin, end := time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(firstYear+years, 1, 1, 0, 0, 0, 0, time.UTC)
	ahead := func(at time.Time) time.Duration { return wall(at.In(location)).Sub(at) }
	for at := begin; at.Before(end); at = at.Add(sampled) {
		if ahead(at) == ahead(at.Add(sampled)) {
			continue
		}
		n := sort.Search(int(sampled/time.Minute), func(i int) bool { return ahead(at.Add(time.Duration(i)*time.Minute)) != ahead(at) })
		change := at.Add(time.Duration(n) * time.Minute)
		expected, shown := change.Add(ahead(at)), change.Add(ahead(change))
		if expected.Before(shown) {
			missing = append(missing, span(expected, shown))
		} else {
			twice = append(twice, span(shown, expected))
		}
	}
	if len(missing)+len(twice) == 0 {
		return f.Name
	}
	return f.Name + " " + joined(missing) + " " + joined(twice)
}

// wall is a local time as if it were that of UTC.
func wall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

func span(from, to time.Time) string {
	end := to.Format("15:04")
	if end == "00:00" {
		end = "24:00"
	}
	return from.Format("15:04") + "-" + end
}

func joined(spans []string) string {
	slices.Sort(spans)
	if spans = slices.Compact(spans); len(spans) == 0 {
		return "-"
	}
	return strings.Join(spans, ",")
}
