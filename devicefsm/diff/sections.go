package diff

import (
	"maps"
	"slices"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/internal/text"
)

func (c *comparison) settings() {
	if c.old.Name != c.new.Name {
		c.add(Change{What: Changed, Part: "setting", Name: "model", Old: c.old.Name, New: c.new.Name})
	}
	if c.old.Kind != c.new.Kind {
		c.add(Change{What: Changed, Part: "setting", Name: "kind", Old: c.old.Kind.Word(), New: c.new.Kind.Word()})
	}
	c.named("setting", "", "", c.old.Settings, c.new.Settings)
}

// named compares settings by their names.
func (c *comparison) named(part, state, inside string, old, new []devicefsm.Setting) {
	before, after := texts(old), texts(new)
	for _, s := range old {
		if text, ok := after[s.Name]; !ok {
			c.add(Change{What: Removed, Part: part, State: state, Name: inside + s.Name, Old: s.Text})
		} else if text != s.Text {
			c.add(Change{What: Changed, Part: part, State: state, Name: inside + s.Name, Old: s.Text, New: text})
		}
	}
	for _, s := range new {
		if _, ok := before[s.Name]; !ok {
			c.add(Change{What: Added, Part: part, State: state, Name: inside + s.Name, New: s.Text})
		}
	}
}

func texts(list []devicefsm.Setting) map[string]string {
	all := map[string]string{}
	for _, s := range list {
		all[s.Name] = s.Text
	}
	return all
}

// sections compares a part of the file whose entries have names and an order.
func (c *comparison) sections(part string, old, new []devicefsm.Section) {
	before, after := byName(old), byName(new)
	renamed := c.renamedSections(part, before, after)
	for _, s := range old {
		now, ok := after[s.Name]
		switch {
		case !ok && renamed[s.Name] == "":
			c.add(Change{What: Removed, Part: part, Name: s.Name, Old: sectionText(s)})
		case ok:
			c.named(part, "", s.Name+".", s.Settings, now.Settings)
			c.steps(part, s, now)
		}
	}
	for _, s := range new {
		if _, ok := before[s.Name]; !ok && !slices.Contains(slices.Collect(maps.Values(renamed)), s.Name) {
			c.add(Change{What: Added, Part: part, Name: s.Name, New: sectionText(s)})
		}
	}
	// Of rules and patterns the first one that fits counts, or comes first.
	if a, b := order(old, after), order(new, before); !slices.Equal(a, b) {
		c.add(Change{What: Moved, Part: part, Old: strings.Join(a, ", "), New: strings.Join(b, ", ")})
	}
}

func byName(list []devicefsm.Section) map[string]devicefsm.Section {
	all := map[string]devicefsm.Section{}
	for _, s := range list {
		all[s.Name] = s
	}
	return all
}

// order are the names that the other model has, too.
func order(list []devicefsm.Section, other map[string]devicefsm.Section) []string {
	var names []string
	for _, s := range list {
		if _, ok := other[s.Name]; ok {
			names = append(names, s.Name)
		}
	}
	return names
}

// renamedSections notes entries that are gone and are there again, the same, under another name.
func (c *comparison) renamedSections(part string, before, after map[string]devicefsm.Section) map[string]string {
	renamed := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[name]; ok {
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(after)) {
			_, known := before[other]
			if known || sectionText(before[name]) != sectionText(after[other]) || slices.Contains(slices.Collect(maps.Values(renamed)), other) {
				continue
			}
			renamed[name] = other
			c.add(Change{What: Renamed, Part: part, Name: other, Old: name, New: other, Guess: true})
			break
		}
	}
	return renamed
}

// steps compares the sequences of patterns, from the first element that is not the same.
func (c *comparison) steps(part string, old, new devicefsm.Section) {
	same := 0
	for same < min(len(old.Steps), len(new.Steps)) && old.Steps[same] == new.Steps[same] {
		same++
	}
	if same == len(old.Steps) && same == len(new.Steps) {
		return
	}
	c.add(Change{
		What: Changed, Part: part, Name: old.Name + ".sequence",
		Old: strings.Join(old.Steps[same:], ", "), New: strings.Join(new.Steps[same:], ", "),
	})
}

func sectionText(s devicefsm.Section) string {
	var parts []string
	if len(s.Steps) > 0 {
		parts = append(parts, "sequence: ["+strings.Join(s.Steps, ", ")+"]")
	}
	for _, f := range s.Settings {
		parts = append(parts, f.Name+": "+f.Text)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// object compares the keys of a mapping of JSON values.
func (c *comparison) object(part string, old, new map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(old)) {
		now, ok := new[k]
		switch before, after := jsonText(old[k]), jsonText(now); {
		case !ok:
			c.add(Change{What: Removed, Part: part, Name: k, Old: before})
		case before != after:
			c.add(Change{What: Changed, Part: part, Name: k, Old: before, New: after})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(new)) {
		if _, ok := old[k]; !ok {
			c.add(Change{What: Added, Part: part, Name: k, New: jsonText(new[k])})
		}
	}
}

func jsonText(v any) string {
	s, err := text.JSON(v)
	if err != nil { // a value of a model is always JSON
		return "?"
	}
	return s
}
