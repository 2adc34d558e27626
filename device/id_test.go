package device

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		kind Kind
		name string
	}{
		"pump-1":                     {KindDevice, "pump-1"},
		"plant:7_A-b":                {KindDevice, "plant:7_A-b"},
		strings.Repeat("x", MaxName): {KindDevice, strings.Repeat("x", MaxName)},
		"site/north":                 {"site", "north"},
	} {
		id, err := Parse(text)
		if err != nil || id.Kind() != want.kind || id.Name() != want.name || id.String() != text || !id.Valid() {
			t.Errorf("Parse(%q) = %q (kind %q, name %q), %v", text, id, id.Kind(), id.Name(), err)
		}
	}
	for _, text := range []string{
		"", "a b", "a/b/c", "/x", "x/", "device/x", "Site/x", "a+", "#", "ä", "a\n", strings.Repeat("x", MaxName+1), strings.Repeat("k", 33) + "/x",
	} {
		if id, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %q, expected an error", text, id)
		}
		if ID(text).Valid() {
			t.Errorf("ID(%q) is valid", text)
		}
	}
}

func TestCheckTags(t *testing.T) {
	good := map[string]string{"a/b": "x", "site": "north hall", "k.e:y_-": "ü"}
	if err := CheckTags(good); err != nil {
		t.Error(err)
	}
	bad := map[string]string{"": "x", "a b": "x", "empty": "", "line": "a\nb", "long": strings.Repeat("x", MaxTagValue+1), "bytes": "\xff"}
	err := CheckTags(bad)
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{`tag ""`, `tag "a b"`, `"empty"`, `"line"`, `"long"`, `"bytes"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is missing in:\n%v", part, err)
		}
	}
	many := map[string]string{}
	for i := range MaxTags + 1 {
		many[strings.Repeat("k", i+1)] = "v"
	}
	if CheckTags(many) == nil {
		t.Error("one tag too many was taken")
	}
}

// All tags are one search attribute, of which Temporal takes 2048 bytes. The list of
// them is escaped as Go writes JSON.
func TestTagsAreBoundedTogether(t *testing.T) {
	tags := map[string]string{}
	for i := range 15 {
		tags[fmt.Sprintf("k%02d", i)] = strings.Repeat("v", MaxTagValue)
	}
	for n, fits := range map[int]bool{17: true, 18: false} {
		tags["l"] = strings.Repeat("v", n)
		if err := CheckTags(tags); fits != (err == nil) {
			t.Errorf("tags of %d bytes: %v", SizeOfTags(tags), err)
		}
	}
	if tags["l"] = "<<<v"; SizeOfTags(tags) != 2050 {
		t.Errorf("%d bytes, want 2050", SizeOfTags(tags))
	}
	if got := SizeOfTags(nil); got != len("[]") {
		t.Errorf("no tags have %d bytes", got)
	}
}

func TestKeysOfTagsAreBounded(t *testing.T) {
	for n, fits := range map[int]bool{MaxTagKey: true, MaxTagKey + 1: false} {
		if err := CheckTag(strings.Repeat("k", n), "v"); fits != (err == nil) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
}

func TestErrorsQuoteALittleOfTheirInput(t *testing.T) {
	_, err := Parse(strings.Repeat("x", 10_000))
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{"door_open": true, "a.b-C9": true, "": false, "a b": false, "a/b": false, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false} {
		if ValidName(name) != want {
			t.Errorf("ValidName(%q) = %t", name, !want)
		}
	}
}

// The pattern for people is what is checked.
func FuzzNamePattern(f *testing.F) {
	f.Add("pump-7")
	f.Add(strings.Repeat("x", 129))
	f.Add("a\n")
	f.Add("ä")
	pattern := regexp.MustCompile(NamePattern)
	f.Fuzz(func(t *testing.T, name string) {
		if validName(name) != (pattern.MatchString(name)) {
			t.Errorf("%q: valid %v, by the pattern %v", name, validName(name), !validName(name))
		}
	})
}
