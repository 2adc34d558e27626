package api

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseQuery(t *testing.T) {
	state := func(v string) Term { return Term{Field: FieldState, Value: v} }
	for _, tt := range []struct {
		text string
		want Query
	}{
		{"", nil},
		{"  ", nil},
		{"state:online", state("online")},
		{" model:pump  connection:offline ", And{Term{Field: FieldModel, Value: "pump"}, Term{Field: FieldConnection, Value: "offline"}}},
		{"tag.site:north", Term{Field: FieldTag, Key: "site", Value: "north"}},
		{`tag.site:"hall 3 \"A\" \\"`, Term{Field: FieldTag, Key: "site", Value: `hall 3 "A" \`}},
		{"reported.net.ip:10.0.0.1", Term{Field: FieldProperty, Key: "reported.net.ip", Value: "10.0.0.1"}},
		{"desired.url:http://x/?a=b", Term{Field: FieldProperty, Key: "desired.url", Value: "http://x/?a=b"}},
		{"id:pump-*", Term{Field: FieldID, Value: "pump-", Op: OpPrefix}},
		{"id:*", Term{Field: FieldID, Op: OpPrefix}},
		{`id:"a b"*`, Term{Field: FieldID, Value: "a b", Op: OpPrefix}},
		{`site:"x*y"`, Term{Field: FieldSite, Value: "x*y"}},
		{"firmware:1.4*", Term{Field: FieldFirmware, Value: "1.4", Op: OpPrefix}},

		{`tag."owner:team":ops`, Term{Field: FieldTag, Key: "owner:team", Value: "ops"}},
		{`reported."a b":"c"`, Term{Field: FieldProperty, Key: "reported.a b", Value: "c"}},
		{`tag."":x`, nil}, // a fault, below

		{"state:a OR state:b", Or{state("a"), state("b")}},
		{"state:a AND state:b", And{state("a"), state("b")}},
		{"NOT state:a", Not{state("a")}},
		{"NOT NOT state:a", Not{Not{state("a")}}},
		{"state:a state:b OR state:c NOT state:d", Or{And{state("a"), state("b")}, And{state("c"), Not{state("d")}}}},
		{"state:a (state:b OR state:c)", And{state("a"), Or{state("b"), state("c")}}},
		{"(state:a)", state("a")},
		{"( state:a )", state("a")},
		{"((state:a)(state:b))", And{state("a"), state("b")}},
		{"NOT(state:a OR state:b)state:c", And{Not{Or{state("a"), state("b")}}, state("c")}},
		{`(site:"a b")`, Term{Field: FieldSite, Value: "a b"}},
		{"(id:a*)", Term{Field: FieldID, Value: "a", Op: OpPrefix}},
		// A value may contain parentheses, which had no meaning once.
		{"site:hall(3)", Term{Field: FieldSite, Value: "hall(3)"}},
		{"(site:hall(3))", Term{Field: FieldSite, Value: "hall(3)"}},
		{"site:a)b", Term{Field: FieldSite, Value: "a)b"}},
		{"site:a)", Term{Field: FieldSite, Value: "a)"}},
		{"site:NOT OR site:OR", Or{Term{Field: FieldSite, Value: "NOT"}, Term{Field: FieldSite, Value: "OR"}}},
		{"site:<5", Term{Field: FieldSite, Value: "<5"}},
		{"reported.a<b:5", Term{Field: FieldProperty, Key: "reported.a<b", Value: "5"}},

		{"faults:3", Term{Field: FieldFaults, Number: 3}},
		{"faults<3 faults<=3", And{Term{Field: FieldFaults, Op: OpLess, Number: 3}, Term{Field: FieldFaults, Op: OpLess, Number: 4}}},
		{"faults>3 faults>=3", And{Term{Field: FieldFaults, Op: OpAtLeast, Number: 4}, Term{Field: FieldFaults, Op: OpAtLeast, Number: 3}}},
		{"process_failed>0", Term{Field: FieldProcessFailed, Op: OpAtLeast, Number: 1}},
		{"processing:held", Term{Field: FieldProcessing, Value: "held"}},
		{"(last_seen<1970-01-02)", Term{Field: FieldLastSeen, Op: OpLess, Number: 86400}},
		{"last_seen>=1970-01-01T01:00:00.5+01:00", Term{Field: FieldLastSeen, Op: OpAtLeast, Number: 1}},
		{"last_seen<now", Term{Field: FieldLastSeen, Op: OpLess, Number: 1_800_000_000}},
		{"last_seen>now-36h", Term{Field: FieldLastSeen, Op: OpAtLeast, Number: 1_800_000_000 - 36*3600 + 1}},

		{"firmware:x' OR 1=1--", nil}, // a fault, below
	} {
		got, err := parseQuery(tt.text, time.Unix(1_800_000_000, 0))
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
		{"stat:online", []QueryFault{{1, `no field "stat"; there are id, kind, state,`}}},
		{"tag:x", []QueryFault{{1, `no field "tag"`}}},
		{"tag.:x", []QueryFault{{1, `"" is not a key`}}},
		{"tag.a=b:x", []QueryFault{{1, `"a=b" is not a key`}}},
		{"state:", []QueryFault{{7, "expected a value"}}},
		{`state:"on`, []QueryFault{{7, "the quotation mark is not closed"}}},
		{`state:"on\`, []QueryFault{{7, "the quotation mark is not closed"}}},
		{`state:"a"b`, []QueryFault{{10, "expected a space after the value"}}},
		{"state:on*", []QueryFault{{7, "states, tags and properties can't be given by their beginning: Temporal keeps them in lists"}}},
		{"tag.a:*", []QueryFault{{7, "states, tags and properties can't be given by their beginning"}}},
		{"reported.a:1*", []QueryFault{{12, "states, tags and properties can't be given by their beginning"}}},
		{"connection:on*", []QueryFault{{12, `a connection is online, offline or unknown, not "on"`}}},
		{"connection:online*", []QueryFault{{12, "a connection is online, offline or unknown: leave out the asterisk"}}},
		{"tag.a:x♡", []QueryFault{{7, "states, tags and properties that contain ♡ can't be searched: Temporal on SQLite"}}},
		{"firmware>=1.4", []QueryFault{{9, `firmware can't be compared by >=, only last_seen, faults and process_failed can: Temporal keeps it as a string`}}},
		{"id<b state>a", []QueryFault{{3, "id can't be compared by <"}, {11, "state can't be compared by >"}}},
		{"tag.a>5", []QueryFault{{1, `"tag.a>5": tags and properties can't be compared by < and >`}}},
		{"stat<5", []QueryFault{{1, `no field "stat"`}}},
		{"process_failed>x", []QueryFault{{16, `expected a number, such as process_failed>=10, found "x"`}}},
		{"processing:done", []QueryFault{{12, `processing is held or waiting, without an asterisk, not "done"`}}},
		{"processing:held*", []QueryFault{{12, `processing is held or waiting, without an asterisk, not "held"`}}},
		{"processing>held", []QueryFault{{11, `processing can't be compared by >, only last_seen`}}},
		{"faults>x", []QueryFault{{8, `expected a number, such as faults>=10, found "x"`}}},
		{"faults:-1", []QueryFault{{8, "expected a number, such as faults>=10"}}},
		{"faults:1*", []QueryFault{{8, `expected a number, such as faults>=10, found "1*"`}}},
		{"faults>= 1", []QueryFault{{9, "expected a number, such as faults>=10"}, {10, "expected FIELD:VALUE"}}},
		{"faults:99999999999999999999", []QueryFault{{8, "expected a number, such as faults>=10"}}},
		{"last_seen:now", []QueryFault{{11, "last_seen is compared by <, <=, > and >="}}},
		{"last_seen<yesterday", []QueryFault{{11, `expected a time from 1970 to 2261, such as 2026-03-01T12:00:00Z, 2026-03-01, now or now-24h, found "yesterday"`}}},
		{"last_seen<now-1x", []QueryFault{{11, "expected a time from 1970 to 2261"}}},
		{"last_seen<now+1h", []QueryFault{{11, "expected a time from 1970 to 2261"}}},
		{"last_seen<1969-12-31", []QueryFault{{11, "expected a time from 1970 to 2261"}}},
		{"last_seen<2262-01-01", []QueryFault{{11, "expected a time from 1970 to 2261"}}},
		{"last_seen>*", []QueryFault{{11, "expected a time from 1970 to 2261"}}},
		{`tag."":x`, []QueryFault{{1, `"" is not a key`}}},
		{`tag."a:x`, []QueryFault{{5, "the quotation mark is not closed"}}},
		{`tag."a"b:x`, []QueryFault{{1, `expected FIELD:VALUE, such as state:online, found "tag.\"a\"b:x"`}}},
		{`tag.a"b":x`, []QueryFault{{1, `expected FIELD:VALUE, such as state:online, found "tag.a\"b\""`}, {9, `no field ""`}}},
		{"OR", []QueryFault{{1, "expected a term"}}},
		{"state:a OR", []QueryFault{{11, "expected a term"}}},
		{"state:a OR OR state:b", []QueryFault{{12, "expected a term"}}},
		{"AND state:a", []QueryFault{{1, "expected a term"}}},
		{"state:a NOT", []QueryFault{{12, "expected a term"}}},
		{"state:a or state:b", []QueryFault{{9, `expected FIELD:VALUE, such as state:online, found "or"; the operator is written OR`}}},
		{"Not state:b", []QueryFault{{1, `expected FIELD:VALUE, such as state:online, found "Not"; the operator is written NOT`}}},
		{"()", []QueryFault{{2, "expected a term"}}},
		{"(state:a", []QueryFault{{1, "the parenthesis is not closed"}}},
		{"state:a (state:b (state:c)", []QueryFault{{9, "the parenthesis is not closed"}}},
		{"(state:a) )", []QueryFault{{11, "no parenthesis is open that could be closed"}}},
		{"(stat:a OR tag.b:) id:", []QueryFault{{2, `no field "stat"`}, {18, "expected a value"}, {23, "expected a value"}}},
		{strings.Repeat("(", 9) + "id:a" + strings.Repeat(")", 9), []QueryFault{{9, "more than 8 parentheses and NOT within each other"}}},
		{strings.Repeat("NOT ", 9) + "id:a", []QueryFault{{33, "more than 8 parentheses and NOT within each other"}}},
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

// Whatever is asked is either refused with places inside the text, or read into a
// query that, written again, is read the same.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{
		"", `tag.a:"b c" id:x*`, `reported.a.b:"\"'\\" state:`, "connection:online é:x", `NOT (tag."a:b":c OR site:x(y)) AND id:*`, "((site:a)) )", "state:a OR",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		query, err := ParseQuery(text)
		var faults QueryError
		if errors.As(err, &faults) {
			for _, fault := range faults {
				if fault.Column < 1 || fault.Column > utf8.RuneCountInString(text)+1 {
					t.Errorf("%q: fault outside the text: %v", text, fault)
				}
			}
			return
		}
		if n := countTerms(query); err != nil || n > MaxTerms {
			t.Fatalf("%q: %d terms, %v", text, n, err)
		}
		again := writeQuery(query)
		back, err := ParseQuery(again)
		if len(again) <= MaxQuery && !tooDeep(err) && (err != nil || !reflect.DeepEqual(query, back)) {
			t.Errorf("%q: %+v, written again %q: %+v, %v", text, query, again, back, err)
		}
	})
}

// tooDeep reports whether parentheses that were not necessary are too many.
func tooDeep(err error) bool { return err != nil && strings.Contains(err.Error(), "within each other") }

func countTerms(q Query) (n int) {
	switch q := q.(type) {
	case And:
		for _, part := range q {
			n += countTerms(part)
		}
	case Or:
		for _, part := range q {
			n += countTerms(part)
		}
	case Not:
		return countTerms(q.Query)
	case Term:
		return 1
	}
	return n
}

func writeQuery(q Query) string {
	join := func(parts []Query, with string) string {
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = "(" + writeQuery(part) + ")"
		}
		return strings.Join(texts, with)
	}
	switch q := q.(type) {
	case And:
		return join(q, " AND ")
	case Or:
		return join(q, " OR ")
	case Not:
		return "NOT (" + writeQuery(q.Query) + ")"
	case Term:
		return writeTerm(q)
	}
	return ""
}

func writeTerm(term Term) string {
	quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	name := string(term.Field)
	switch term.Field {
	case FieldTag:
		name += "." + quote(term.Key)
	case FieldProperty:
		head, key, _ := strings.Cut(term.Key, ".")
		name = head + "." + quote(key)
	}
	switch {
	case term.Field.Counts() && term.Op == OpEqual:
		return fmt.Sprintf("%s:%d", term.Field, term.Number)
	case term.Field.Counts():
		return fmt.Sprintf("%s%s%d", term.Field, term.Op, term.Number)
	case term.Field == FieldLastSeen:
		return fmt.Sprintf("last_seen%s%s", term.Op, time.Unix(term.Number, 0).UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s:%s%s", name, quote(term.Value), term.Op)
}
