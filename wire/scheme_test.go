package wire

import (
	"slices"
	"strings"
	"testing"
)

func schemeOf(t testing.TB, template string) Scheme {
	t.Helper()
	s, err := ParseScheme(template)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemeBaseAndFilters(t *testing.T) {
	tests := []struct{ template, classic, named, filter string }{
		{"$aws/things/{id}/shadow[/name/{shadow}]", "$aws/things/p1/shadow", "$aws/things/p1/shadow/name/x", "$aws/things/+/shadow/#"},
		{"devices/{id}/twin[/{shadow}]", "devices/p1/twin", "devices/p1/twin/x", "devices/+/twin/#"},
		{"{id}[/s/{shadow}/of]", "p1", "p1/s/x/of", "+/#"},
	}
	for _, tt := range tests {
		s := schemeOf(t, tt.template)
		if got := s.Base("p1", ""); got != tt.classic {
			t.Errorf("%s: classic base %q, want %q", tt.template, got, tt.classic)
		}
		if got := s.Base("p1", "x"); got != tt.named {
			t.Errorf("%s: named base %q, want %q", tt.template, got, tt.named)
		}
		if got := s.Filters(); !slices.Equal(got, []string{tt.filter}) {
			t.Errorf("%s: filters %q, want %q", tt.template, got, tt.filter)
		}
		if s.String() != tt.template {
			t.Errorf("%s: string %q", tt.template, s)
		}
	}
}

func TestSchemeParse(t *testing.T) {
	type parts struct {
		id, shadow, rest string
		ok               bool
	}
	const aws, own = "$aws/things/{id}/shadow[/name/{shadow}]", "devices/{id}/twin[/{shadow}]"
	tests := []struct {
		template, topic string
		want            parts
	}{
		{aws, "$aws/things/p1/shadow/get", parts{"p1", "", "get", true}},
		{aws, "$aws/things/p1/shadow/update/accepted", parts{"p1", "", "update/accepted", true}},
		{aws, "$aws/things/p1/shadow/name/x/update", parts{"p1", "x", "update", true}},
		{aws, "$aws/things/p1/shadow/name/x/update/documents", parts{"p1", "x", "update/documents", true}},
		{aws, "$aws/things/p1/shadow/name/get", parts{}},
		{aws, "$aws/things/p1/shadow/name/x", parts{}},
		{aws, "$aws/things/p1/shadow", parts{}},
		{aws, "$aws/things/p1/shadow/", parts{}},
		{aws, "$aws/things/p1/shadow/list", parts{}},
		{aws, "$aws/things/p1/shadow/get/delta", parts{}},
		{aws, "$aws/things/p1/jobs/get", parts{}},
		{aws, "$aws/things/p 1/shadow/get", parts{}},
		{aws, "$aws/things/p1/shadow/name/x y/get", parts{}},
		{aws, "$aws/things/p1/shadow/name//get", parts{}},
		{aws, "$aws/things/p1/shadow/get/", parts{}},
		{aws, "devices/p1/twin/get", parts{}},
		{aws, "", parts{}},
		{own, "devices/p1/twin/delete", parts{"p1", "", "delete", true}},
		{own, "devices/p1/twin/documents/current", parts{"p1", "", "documents/current", true}},
		{own, "devices/p1/twin/x/get", parts{"p1", "x", "get", true}},
		{own, "devices/p1/twin/update/update", parts{"p1", "update", "update", true}},
		{own, "devices/p1/twin/update/update/delta", parts{"p1", "update", "update/delta", true}},
		{own, "devices/p1/twin/get/accepted", parts{"p1", "", "get/accepted", true}},
		{own, "devices/p1/twin/x/y/get", parts{}},
		{own, "devices/p1/telemetry", parts{}},
		{"{id}/{shadow}", "x/get", parts{}},
	}
	for _, tt := range tests {
		s, _ := ParseScheme(tt.template) // the last one is refused: the zero Scheme
		var got parts
		got.id, got.shadow, got.rest, got.ok = s.Parse(tt.topic)
		if got != tt.want {
			t.Errorf("%s of %s: got %+v, want %+v", tt.topic, tt.template, got, tt.want)
		}
		if request := got.ok && !strings.Contains(got.rest, "/"); IsRequest(got.rest) != request {
			t.Errorf("%s: a request is %t, want %t", tt.topic, IsRequest(got.rest), request)
		}
	}
}

func TestSchemeID(t *testing.T) {
	s := schemeOf(t, "$aws/things/{id}/shadow[/name/{shadow}]")
	for topic, want := range map[string]string{
		"$aws/things/p1/shadow/get":  "p1",
		"$aws/things/p 1/shadow/foo": "p 1",
		"$aws/things/p1/shadow":      "p1",
		"$aws/things/p1/jobs":        "",
		"$aws/things":                "",
	} {
		if got, ok := s.ID(topic); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t; want %q", topic, got, ok, want)
		}
	}
	if _, ok := (Scheme{}).ID("a"); ok || (Scheme{}).Filters() != nil {
		t.Error("the zero Scheme has topics")
	}
}

func TestParseSchemeRefuses(t *testing.T) {
	for _, template := range []string{
		"", "devices/{id}/twin", "devices/{id}/twin/{shadow}", "devices/twin[/{shadow}]", "devices/{id}/twin[/name]",
		"devices/{id}/{id}[/{shadow}]", "devices/{id}[/{shadow}/{shadow}]", "devices/dev-{id}[/{shadow}]",
		"{prefix}/{id}[/{shadow}]", "devices/{id}[/{id}]", "devices/{shadow}[/{id}]", "devices//{id}[/{shadow}]",
		"/{id}[/{shadow}]", "devices/{id}[{shadow}]", "devices/{id}[/{shadow}]/x", "devices/{id}[/{shadow}][/{shadow}]",
		"devices/{id}[/{shadow}/]", "+/{id}[/{shadow}]", "devices/{id}[/#/{shadow}]", "d\x00/{id}[/{shadow}]", "d\xff/{id}[/{shadow}]",
		strings.Repeat("x", maxTemplate) + "/{id}[/{shadow}]",
	} {
		if s, err := ParseScheme(template); err == nil {
			t.Errorf("%q was taken as %v", template, s)
		}
	}
}

func TestParseSchemes(t *testing.T) {
	schemes, err := ParseSchemes("site/devices", DefaultShadowTopics())
	if err != nil {
		t.Fatal(err)
	}
	if got := schemes[1].Base("p1", "x"); got != "site/devices/p1/twin/x" || len(schemes) != 2 {
		t.Errorf("%v: base %q", schemes, got)
	}
	for name, templates := range map[string][]string{
		"bad":                {"x"},
		"the same":           {"a/{id}[/{shadow}]", "a/{id}[/name/{shadow}]"},
		"one within another": {"a/{id}[/{shadow}]", "a/{id}/twin[/{shadow}]"},
		"crossed":            {"a/{id}/b[/{shadow}]", "a/c/{id}[/{shadow}]"},
	} {
		if _, err := ParseSchemes("devices", templates); err == nil {
			t.Errorf("%s: %q were taken", name, templates)
		}
	}
	if _, err := ParseSchemes("devices", []string{"a/{id}/b[/{shadow}]", "a/{id}/c[/{shadow}]"}); err != nil {
		t.Error(err)
	}
}

// What Parse splits, Base joins, whatever the template.
func FuzzScheme(f *testing.F) {
	f.Add("$aws/things/{id}/shadow[/name/{shadow}]", "$aws/things/p1/shadow/name/x/update/delta")
	f.Add("devices/{id}/twin[/{shadow}]", "devices/p1/twin/update/update")
	f.Add("{id}[/{shadow}/x]", "p1/get/x/get")
	f.Fuzz(func(t *testing.T, template, topic string) {
		s, err := ParseScheme(template)
		if err != nil {
			return
		}
		id, shadow, rest, ok := s.Parse(topic)
		if !ok {
			return
		}
		if again := s.Base(id, shadow) + "/" + rest; again != topic {
			t.Errorf("%s of %s: put together again it is %s", topic, template, again)
		}
		if got, ok := s.ID(topic); !ok || got != id {
			t.Errorf("%s of %s: id %q, then %q", topic, template, id, got)
		}
	})
}
