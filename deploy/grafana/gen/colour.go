package main

import (
	"fmt"
	"math"
	"slices"
)

// stateColour is the colour of the states whose name matches.
type stateColour struct{ pattern, colour string }

// stateWords are what states are called that every operator knows, before the letters.
var stateWords = []stateColour{
	{`(online|ok|good|normal|healthy|running)`, "green"},
	{`[^.]*(quarantin|fault|fail|error|alarm|broken|emergency)[^.]*`, "red"},
	{`[^.]*(overheat|warn|degraded|bad|hot)[^.]*`, "orange"},
	{`silent`, "#8e8e8e"},
	{`(offline|gone|unreachable|unavailable)`, "#5f5f5f"},
	{`lost`, "#c8c8c8"},
}

// stateColours give a state the same colour wherever it is shown, also alone, and also
// that of a model that nobody here knows: by the last part of its path, its first letter,
// and whether the next one is a vowel. The first that matches counts.
var stateColours = func() []stateColour {
	var all []stateColour
	add := func(pattern, colour string) {
		all = append(all, stateColour{`/^(.*\.)?` + pattern + `$/i`, colour})
	}
	for _, w := range stateWords {
		add(w.pattern, w.colour)
	}
	for i := range 26 {
		add(fmt.Sprintf(`%c[aeiou][^.]*`, 'a'+i), hue(2*i))
		add(fmt.Sprintf(`%c[^.]*`, 'a'+i), hue(2*i+1))
	}
	return all
}()

// hue is a colour that is far from those of the numbers next to it, and neither the red
// nor the green that have a meaning.
func hue(i int) string {
	const free, afterRed, beforeGreen, afterGreen = 260, 25, 95, 145
	h := math.Mod(float64(i)*137.508, free) + afterRed
	if h > beforeGreen {
		h += afterGreen - beforeGreen
	}
	light := []float64{.45, .6, .75}[i%3]
	channel := func(n float64) int {
		k := math.Mod(n+h/30, 12)
		return int(math.Round(255 * (light - .7*min(light, 1-light)*max(-1, min(k-3, 9-k, 1)))))
	}
	return fmt.Sprintf("#%02x%02x%02x", channel(0), channel(8), channel(4))
}

// stateValues colours values that are the names of states.
func stateValues() []any {
	var all []any
	for i, s := range stateColours {
		all = append(all, map[string]any{"type": "regex", "options": map[string]any{
			"pattern": s.pattern, "result": map[string]any{"color": s.colour, "index": i},
		}})
	}
	return all
}

// states colours values that are the names of states; others have the colours of the
// palette, in the order in which they come.
func (p panel) states() panel {
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "palette-classic"}
	p.FieldConfig.Defaults.Mappings = append(p.FieldConfig.Defaults.Mappings, stateValues()...)
	return p
}

// ofStates colours series that are called like states. Of overrides, the last counts.
func (p panel) ofStates() panel {
	for _, s := range slices.Backward(stateColours) {
		p = p.override("byRegexp", s.pattern, "color", map[string]any{"mode": "fixed", "fixedColor": s.colour})
	}
	return p
}

// stateColumns colours columns of a table that hold the names of states.
func (p panel) stateColumns(columns ...string) panel {
	for _, c := range columns {
		p = p.override("byName", c, "mappings", stateValues(), "custom.cellOptions", map[string]any{"type": "color-text"})
	}
	return p
}
