package dialect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/mqtt"
)

func mustTemplate(t interface {
	Helper()
	Fatal(...any)
}, text string) *template {
	t.Helper()
	p, err := parseTemplate(text)
	if err != nil {
		t.Fatal(text, ": ", err)
	}
	return p
}

func TestTemplatesMatch(t *testing.T) {
	for _, c := range []struct{ template, topic, want string }{
		{"tele/{id}/SENSOR", "tele/plug/SENSOR", "plug"},
		{"tele/{id}/SENSOR", "tele/plug/STATE", "-"},
		{"tele/{id}/SENSOR", "tele/plug/SENSOR/x", "-"},
		{"tele/{id}/SENSOR", "tele/plug", "-"},
		{"tele/{id}/SENSOR", "tele//SENSOR", ""},
		{"{site}/+/{id}/#", "a/b/c", "a c"},
		{"{site}/+/{id}/#", "a/b/c/d/e", "a c"},
		{"{site}/+/{id}/#", "a/b", "-"},
		{"zigbee2mqtt/{name...}", "zigbee2mqtt/kitchen", "kitchen"},
		{"zigbee2mqtt/{name...}", "zigbee2mqtt/kitchen/lamp 1", "kitchen/lamp 1"},
		{"zigbee2mqtt/{name...}", "zigbee2mqtt", "-"},
		{"zigbee2mqtt/{name...}/availability", "zigbee2mqtt/kitchen/lamp/availability", "kitchen/lamp"},
		{"zigbee2mqtt/{name...}/availability", "zigbee2mqtt/availability", "-"},
		{"zigbee2mqtt/{name...}/availability", "zigbee2mqtt/kitchen/lamp", "-"},
		{"{name...}/x/{b}", "p/q/x/r", "p/q r"},
		{"shellies/shelly1-{mac}/info", "shellies/shelly1-AB12/info", "AB12"},
		{"shellies/shelly1-{mac}/info", "shellies/shelly1-/info", "-"},
		{"a/x{id}y", "a/xy", "-"},
		{"a/x{id}y", "a/x1y", "1"},
		{"a/#", "a", ""},
		{"a/#", "b", "-"},
	} {
		p := mustTemplate(t, c.template)
		values := make([]string, len(p.names))
		got := "-"
		if p.match(c.topic, values) {
			got = strings.Join(values, " ")
		}
		if got != c.want {
			t.Errorf("%s, topic %s: %q, want %q", c.template, c.topic, got, c.want)
		}
		if got != "-" && !mqtt.Matches(p.filter(), c.topic) {
			t.Errorf("filter %s of %s does not bring in %s", p.filter(), c.template, c.topic)
		}
	}
}

func TestTemplatesThatCannotBe(t *testing.T) {
	for template, want := range map[string]string{
		"":                        "expected 1 to 1024 bytes",
		"a/{id":                   "one variable in a level",
		"a/id}":                   "{ before }",
		"a/{id}{b}":               "one variable in a level",
		"a/{id}/{id}":             "in another level",
		"a/{9}":                   "a letter first",
		"a/{x...}/{y...}":         "at most one variable of several levels",
		"a/{x...}/#":              "without a variable of several levels",
		"a/b{x...}":               "without anything around it",
		"a/#/b":                   "alone in the last one",
		"a/b+":                    "alone in its level",
		"a/\xff":                  "UTF-8",
		"a/\x00":                  "without NUL",
		strings.Repeat("a/", 600): "1024 bytes",
	} {
		if _, err := parseTemplate(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", template, err, want)
		}
	}
}

// The most exact template comes first; two that share a topic are never equally exact
// unless nothing decides between them.
func TestExactness(t *testing.T) {
	all := []string{"#", "a/#", "a/b/#", "a", "a/{x...}", "{s}/b", "a/{x}/#", "a/{x}", "a/+/c", "a/b{x}", "a/bc{x}", "a/b", "a/{x...}/c"}
	want := []string{"a/b", "a/b/#", "a/bc{x}", "a/b{x}", "a/+/c", "a/{x}", "a/{x}/#", "a/{x...}/c", "a/{x...}", "a", "a/#", "{s}/b", "#"}
	slices.SortStableFunc(all, func(a, b string) int { return moreExact(mustTemplate(t, a), mustTemplate(t, b)) })
	if !slices.Equal(all, want) {
		t.Errorf("%q", all)
	}
}

// What follows two variables of several levels decides whether a topic can be of both.
func TestShare(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"{x...}/switch/{o}/state", "{x...}/sensor/{o}/state", false},
		{"{x...}/switch/{o}/state", "{x...}/fan/{o}/{n}/state", true}, // p/fan/switch/o/state
		{"{x...}/status", "{x...}/sensor/{o}/state", false},
		{"{x...}/status", "{x...}/sensor/{o}/{n}", true},
		{"{x...}/a", "{x...}", true},
		{"p/{x...}/a", "{x...}/b/a", true},
		{"p/{x...}/a", "q/{x...}/a", false},
		{"p/q/{x...}/a", "{x...}/p/a", true},
		{"{x...}/a", "b/#", true},
	} {
		if got := share(mustTemplate(t, c.a), mustTemplate(t, c.b)); got != c.want {
			t.Errorf("%s and %s: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

var levelsOfTemplates = rapid.SampledFrom([]string{"a", "b", "ab", "+", "{v}", "a{v}", "{v}b", "{v...}", ""})

func drawTemplate(t *rapid.T, label string) *template {
	n := rapid.IntRange(1, 4).Draw(t, label+" levels")
	var levels []string
	many := false
	for i := range n {
		l := levelsOfTemplates.Draw(t, label)
		if many && strings.HasPrefix(l, "{v...") {
			l = "+"
		}
		many = many || l == "{v...}"
		levels = append(levels, strings.ReplaceAll(l, "v", fmt.Sprint("v", i)))
	}
	if !many && rapid.Bool().Draw(t, label+" rest") {
		levels = append(levels, "#")
	}
	if len(levels) == 1 && levels[0] == "" {
		levels[0] = "a"
	}
	return mustTemplate(t, strings.Join(levels, "/"))
}

var topics = rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "aab", "abb", "c", ""}), 1, 5), func(l []string) string { return strings.Join(l, "/") })

// Templates that share no topic, as far as share knows, never match the same one; what a
// template matches its filter brings in, and fill writes again.
func TestTemplatesProperty(t *testing.T) {
	shared, matched := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTemplate(t, "a"), drawTemplate(t, "b")
		if share(a, b) != share(b, a) {
			t.Fatalf("%s and %s: share depends on the order", a.text, b.text)
		}
		if share(a, b) {
			shared++
		}
		filters := together([]string{a.filter(), b.filter()})
		for range 20 {
			topic := topics.Draw(t, "topic")
			if topic == "" {
				continue
			}
			va := make([]string, len(a.names))
			inA, inB := a.match(topic, va), b.match(topic, make([]string, len(b.names)))
			if inA && inB && !share(a, b) {
				t.Fatalf("%s and %s share %s", a.text, b.text, topic)
			}
			if inA && !mqtt.Matches(a.filter(), topic) {
				t.Fatalf("filter %s of %s does not bring in %s", a.filter(), a.text, topic)
			}
			bring := 0
			for _, f := range filters {
				if mqtt.Matches(f, topic) {
					bring++
				}
			}
			if (inA || inB) && bring != 1 {
				t.Fatalf("%d filters of %q bring in %s", bring, filters, topic)
			}
			if !inA || slices.Contains(va, "") || strings.ContainsAny(a.text, "+#") {
				continue
			}
			matched++
			again, err := a.fill(func(name string) string { return va[slices.Index(a.names, name)] })
			if err != nil || again != topic {
				t.Fatalf("%s filled with %q is %s, want %s: %v", a.text, va, again, topic, err)
			}
		}
	})
	if shared == 0 || matched == 0 {
		t.Errorf("%d templates shared a topic, %d topics were written again", shared, matched)
	}
}

func TestFiltersTogether(t *testing.T) {
	for _, c := range []struct{ filters, want []string }{
		{[]string{"tele/+/SENSOR", "tele/+/LWT", "stat/+/RESULT"}, []string{"stat/+/RESULT", "tele/#"}},
		{[]string{"a/b", "a/b"}, []string{"a/b"}},
		{[]string{"a/b", "+/c"}, []string{"#"}},
		{[]string{"$x/a", "#"}, []string{"#", "$x/a"}},
		{[]string{"a", "a/+"}, []string{"a/#"}},
	} {
		if got := together(c.filters); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.filters, got, c.want)
		}
	}
}

// Whether templates share a topic is known exactly: where something after the variable of several
// levels differs, they do not.
func TestTemplatesThatShareATopic(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"z/{n...}/availability", "z/{n...}/get", false},
		{"z/{n...}/set", "z/{m...}/set", true},
		{"z/{n...}/a/b", "z/{m...}/b", true},
		{"z/{n...}/a/b", "z/{m...}/a", false},
		{"z/{n...}", "z/{m}", true},
		{"z/{n...}", "z", false},
		{"z/#", "z", true},
		{"z/#", "z/{n...}/x", true},
		{"{n...}/x", "a/b/#", true},
		{"{n...}/x/y", "a/{m...}/y", true},
		{"a/{m...}/x/y", "{n...}/y/y", false},
		{"+/x", "$a/x", false},
		{"#", "$a/x", false},
		{"$a/+", "$a/x", true},
		{"a{v}", "{v}b", true},
		{"a{v}", "b{v}", false},
		{"ab{v}", "ab", false},
	} {
		a, b := mustTemplate(t, c.a), mustTemplate(t, c.b)
		if share(a, b) != c.want || share(b, a) != c.want {
			t.Errorf("%s and %s share a topic: %v, want %v", c.a, c.b, share(a, b), c.want)
		}
	}
}
