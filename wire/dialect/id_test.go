package dialect

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/device"
)

func mustID(t interface {
	Helper()
	Fatal(...any)
}, text string) *idTemplate {
	t.Helper()
	p, err := parseIDTemplate(text)
	if err != nil {
		t.Fatal(text, ": ", err)
	}
	return p
}

func TestIDs(t *testing.T) {
	for _, c := range []struct {
		template string
		values   map[string]string
		want     string
	}{
		{"{id}", map[string]string{"id": "plug_1"}, "plug_1"},
		{"{id}", map[string]string{"id": "kitchen/lamp 1"}, "kitchen--2flamp--201"},
		{"{id}", map[string]string{"id": "a@b"}, "a--40b"},
		{"{id}", map[string]string{"id": "a-b"}, "a-b"},
		{"{id}", map[string]string{"id": "a--b"}, "a--2d-b"},
		{"{id}", map[string]string{"id": "a- b"}, "a--2d--20b"},
		{"{id}", map[string]string{"id": "Küche"}, "K--c3--bcche"},
		{"{site}:{id}", map[string]string{"site": "north:1", "id": "m:2"}, "north--3a1:m:2"},
		{"z2m_{id}", map[string]string{"id": "x"}, "z2m_x"},
		{"{a}_{b}:x", map[string]string{"a": "p_q", "b": "r:s"}, "p--5fq_r--3as:x"},
	} {
		p := mustID(t, c.template)
		id, err := p.fill(func(name string) string { return c.values[name] })
		if err != nil || id != device.ID(c.want) {
			t.Errorf("%s of %q: %q, %v; want %q", c.template, c.values, id, err, c.want)
		}
	}
	p := mustID(t, "{id}")
	for _, v := range []string{"", strings.Repeat("a", 129), strings.Repeat("é", 20)} {
		if id, err := p.fill(func(string) string { return v }); err == nil {
			t.Errorf("%q is the id %s", v, id)
		}
	}
}

func TestIDTemplatesThatCannotBe(t *testing.T) {
	for template, want := range map[string]string{
		"":        "it is empty",
		"all":     "expected a variable",
		"{a}{b}":  "between two variables",
		"{a}-{b}": "begins with :",
		"{a}f{b}": "begins with :",
		"{a}/{b}": "letters, digits",
		"x--{a}":  "begins an escape",
		"{a":      "expected variables",
		"{a b}":   "expected variables",
	} {
		if _, err := parseIDTemplate(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", template, err, want)
		}
	}
}

// Different values make different ids, and the values can be read from the id.
func TestIDsAreReversible(t *testing.T) {
	value := rapid.StringOfN(rapid.SampledFrom([]rune("a9f-:_ /@é")), 1, 6, -1)
	templates := rapid.SampledFrom([]string{"{a}", "x{a}", "{a}:{b}", "-{a}_{b}", "{a}:-{b}", "{a}_:{b}x"})
	rapid.Check(t, func(t *rapid.T) {
		p := mustID(t, templates.Draw(t, "template"))
		values := map[string]string{"a": value.Draw(t, "a"), "b": value.Draw(t, "b")}
		id, err := p.fill(func(name string) string { return values[name] })
		if err != nil {
			t.Fatal(err)
		}
		got, ok := p.parse(id.Name())
		if !ok {
			t.Fatalf("%s of %q is %s, which is not read", p.text, values, id)
		}
		for name, v := range got {
			if v != values[name] {
				t.Fatalf("%s of %q is %s, read as %q", p.text, values, id, got)
			}
		}
	})
}

// What parse reads, fill writes: an id that is written in another way is of another device.
func TestIDsHaveOneSpelling(t *testing.T) {
	name := rapid.StringOfN(rapid.SampledFrom([]rune("a2d-:_3")), 1, 10, -1)
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		p := mustID(t, rapid.SampledFrom([]string{"{a}", "{a}:{b}", "a{a}"}).Draw(t, "template"))
		s := name.Draw(t, "name")
		values, ok := p.parse(s)
		if !ok {
			return
		}
		read++
		if id, err := p.fill(func(name string) string { return values[name] }); err != nil || id.Name() != s {
			t.Fatalf("%s reads %q from %s, and writes %s, %v", p.text, values, s, id, err)
		}
	})
	if read == 0 {
		t.Error("nothing was read")
	}
}
