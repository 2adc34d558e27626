package api

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParseQuery(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []Term
	}{
		{"", nil},
		{"  ", nil},
		{"state:online", []Term{{Field: FieldState, Value: "online"}}},
		{" model:pump  connection:offline ", []Term{{Field: FieldModel, Value: "pump"}, {Field: FieldConnection, Value: "offline"}}},
		{"tag.site:north", []Term{{Field: FieldTag, Key: "site", Value: "north"}}},
		{`tag.site:"hall 3 \"A\" \\"`, []Term{{Field: FieldTag, Key: "site", Value: `hall 3 "A" \`}}},
		{"reported.net.ip:10.0.0.1", []Term{{Field: FieldProperty, Key: "reported.net.ip", Value: "10.0.0.1"}}},
		{"desired.url:http://x/?a=b", []Term{{Field: FieldProperty, Key: "desired.url", Value: "http://x/?a=b"}}},
		{"id:pump-*", []Term{{Field: FieldID, Value: "pump-", Prefix: true}}},
		{"id:*", []Term{{Field: FieldID, Prefix: true}}},
		{`id:"a b"*`, []Term{{Field: FieldID, Value: "a b", Prefix: true}}},
		{`site:"x*y"`, []Term{{Field: FieldSite, Value: "x*y"}}},
		{"firmware:x' OR 1=1--", nil}, // a fault, below
	} {
		got, err := ParseQuery(tt.text)
		if tt.want == nil && strings.TrimSpace(tt.text) != "" {
			if err == nil {
				t.Errorf("%q was taken: %v", tt.text, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
}

func TestQueryFaults(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []QueryFault // the message's beginning
	}{
		{"online", []QueryFault{{1, `expected FIELD:VALUE, such as state:online, found "online"`}}},
		{`"a b"`, []QueryFault{{1, `expected FIELD:VALUE, such as state:online, found "\"a b\""`}}},
		{"stat:online", []QueryFault{{1, `no field "stat"; there are id, state,`}}},
		{"tag:x", []QueryFault{{1, `no field "tag"`}}},
		{"tag.:x", []QueryFault{{1, `"" is not a key`}}},
		{"tag.a=b:x", []QueryFault{{1, `"a=b" is not a key`}}},
		{"state:", []QueryFault{{7, "expected a value"}}},
		{`state:"on`, []QueryFault{{7, "the quotation mark is not closed"}}},
		{`state:"on\`, []QueryFault{{7, "the quotation mark is not closed"}}},
		{`state:"a"b`, []QueryFault{{10, "expected a space after the value"}}},
		{"state:on*", []QueryFault{{7, "only an id can be given by its beginning"}}},
		{"id:a*b", []QueryFault{{6, "expected a space after the value"}}},
		{"connection:up", []QueryFault{{12, `a connection is online, offline or unknown, not "up"`}}},
		{"site:\"a\u0000\"", []QueryFault{{6, "the value has a control character"}}},
		{"site:é stat:x id:", []QueryFault{{8, `no field "stat"`}, {18, "expected a value"}}},
		{"site:" + strings.Repeat("x", 257), []QueryFault{{6, "the value has 257 bytes"}}},
		{strings.Repeat("id:a ", 17), []QueryFault{{81, "more than 16 terms"}}},
		{strings.Repeat("x", 1025), []QueryFault{{1, "the query has 1025 bytes"}}},
		{"site:\xff", []QueryFault{{1, "the query is not UTF-8"}}},
	} {
		_, err := ParseQuery(tt.text)
		var faults QueryError
		if !errors.As(err, &faults) || len(faults) != len(tt.want) {
			t.Errorf("%q: %v, want %d faults", tt.text, err, len(tt.want))
			continue
		}
		for i, want := range tt.want {
			if faults[i].Column != want.Column || !strings.HasPrefix(faults[i].Message, want.Message) {
				t.Errorf("%q: %v, want %v", tt.text, faults[i], want)
			}
		}
	}
}

// Whatever is asked is either refused with places inside the text, or read into
// terms that, written again, are read the same.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"", `tag.a:"b c" id:x*`, `reported.a.b:"\"'\\" state:`, "connection:online é:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		terms, err := ParseQuery(text)
		var faults QueryError
		if errors.As(err, &faults) {
			for _, fault := range faults {
				if fault.Column < 1 || fault.Column > utf8.RuneCountInString(text)+1 {
					t.Errorf("%q: fault outside the text: %v", text, fault)
				}
			}
			return
		}
		if err != nil || len(terms) > MaxTerms {
			t.Fatalf("%q: %d terms, %v", text, len(terms), err)
		}
		var again []string
		for _, term := range terms {
			again = append(again, writeTerm(term))
		}
		back, err := ParseQuery(strings.Join(again, " "))
		if len(strings.Join(again, " ")) <= MaxQuery && (err != nil || !reflect.DeepEqual(terms, back)) {
			t.Errorf("%q: %+v, written again %q: %+v, %v", text, terms, again, back, err)
		}
	})
}

func writeTerm(term Term) string {
	name := string(term.Field)
	switch term.Field {
	case FieldTag:
		name += "." + term.Key
	case FieldProperty:
		name = term.Key
	}
	var quoted strings.Builder
	for _, r := range term.Value {
		if r == '"' || r == '\\' {
			quoted.WriteByte('\\')
		}
		quoted.WriteRune(r)
	}
	text := fmt.Sprintf(`%s:"%s"`, name, quoted.String())
	if term.Prefix {
		text += "*"
	}
	if strings.ContainsFunc(name, unicode.IsSpace) {
		panic("a key with a space was read")
	}
	return text
}
