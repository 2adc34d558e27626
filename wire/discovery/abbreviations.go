package discovery

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
)

//go:embed abbreviations.txt
var abbreviationLines string

// abbreviations are the full names of members, by what they are part of: entity, device or
// origin.
var abbreviations = func() map[string]map[string]string {
	all := map[string]map[string]string{}
	part := ""
	for line := range strings.Lines(abbreviationLines) {
		short, full, pair := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case strings.HasPrefix(line, "#"):
		case pair:
			all[part][short] = full
		default:
			part = strings.Trim(short, "[]")
			all[part] = map[string]string{}
		}
	}
	return all
}()

// spelledOut is a mapping with the full names of its members. Where a member has both, the
// abbreviation holds.
func spelledOut(of map[string]any, part string) map[string]any {
	full := make(map[string]any, len(of))
	names := abbreviations[part]
	for name, v := range of {
		if _, short := names[name]; !short {
			full[name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if long, short := names[name]; short {
			full[long] = of[name]
		}
	}
	return full
}
