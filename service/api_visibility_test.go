package service

import (
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
)

// A query in Temporal's words. What a database can't find exactly finds more; the
// suite of the end-to-end tests asks the databases themselves.
func TestVisibilityQuery(t *testing.T) {
	for _, tt := range []struct {
		database, query, want string
		exact                 bool
	}{
		{"elasticsearch", "", "", true},
		{"elasticsearch", "state:online", "DeviceState = 'online'", true},
		{"elasticsearch", "id:pump-* model:pump", "WorkflowId STARTS_WITH 'device/pump-' AND DeviceModel = 'pump'", true},
		{"elasticsearch", "kind:customer id:customer/47*", "WorkflowId STARTS_WITH 'customer/' AND WorkflowId STARTS_WITH 'customer/47'", true},
		{"sqlite", "kind:device", "WorkflowId >= 'device/' AND WorkflowId < 'device0'", true},
		{"postgres12", "NOT kind:customer", "WorkflowId NOT STARTS_WITH 'customer/'", true},
		{"elasticsearch", "model_hash:0123abcd", "DeviceModelHash = '0123abcd'", true},
		{"elasticsearch", "id:pump-1", "WorkflowId = 'device/pump-1'", true},
		{"elasticsearch", "connection:offline site:a", "DeviceConnection = 'offline' AND DeviceSite = 'a'", true},
		{"elasticsearch", "connection:unknown", "DeviceConnection IS NULL", true},
		{"elasticsearch", `tag.hall:"3 b"`, "DeviceTags = 'hall=3 b'", true},
		{"elasticsearch", "reported.net.ip:10.0.0.1", "DeviceProperties = 'reported.net.ip=10.0.0.1'", true},
		{"elasticsearch", `firmware:"x' OR '1'='1"`, "DeviceFirmware = 'x'' OR ''1''=''1'", true},
		{"elasticsearch", `firmware:"x\\' OR 1=1 -- \\"`, `DeviceFirmware = 'x\\'' OR 1=1 -- \\'`, true},
		{"elasticsearch", "site:a OR site:b state:c", "DeviceSite = 'a' OR (DeviceSite = 'b' AND DeviceState = 'c')", true},
		{"elasticsearch", "NOT (site:a OR state:c)", "(DeviceSite != 'a' OR DeviceSite IS NULL) AND (DeviceState != 'c' OR DeviceState IS NULL)", true},
		{"elasticsearch", "NOT (id:a site:b*)", "WorkflowId != 'device/a' OR (DeviceSite NOT STARTS_WITH 'b' OR DeviceSite IS NULL)", true},
		{"elasticsearch", "NOT NOT site:*", "DeviceSite IS NOT NULL AND DeviceSite != ''", true},
		{"elasticsearch", "NOT connection:unknown", "DeviceConnection IS NOT NULL", true},
		{"elasticsearch", "last_seen<2026-03-01", "DeviceLastSeen < '2026-03-01T00:00:00Z'", true},
		{"sqlite", "NOT last_seen>2026-03-01", "DeviceLastSeen < '2026-03-01T00:00:01Z' OR DeviceLastSeen IS NULL", true},
		{"postgres12", "faults<=2", "DeviceFaults < 3 OR DeviceFaults IS NULL", true},
		{"elasticsearch", "NOT faults<3", "DeviceFaults >= 3", true},
		{"elasticsearch", "faults:0 NOT faults:1", "(DeviceFaults = 0 OR DeviceFaults IS NULL) AND (DeviceFaults < 1 OR DeviceFaults > 1 OR DeviceFaults IS NULL)", true},
		{"", "NOT faults:0", "DeviceFaults < 0 OR DeviceFaults > 0", true},
		{"elasticsearch", "processing:held", "DeviceProcessing = 'held'", true},
		{"sqlite", "NOT processing:waiting", "DeviceProcessing != 'waiting' OR DeviceProcessing IS NULL", true},
		{"postgres12", "process_failed>=1", "DeviceProcessFailed >= 1", true},
		{"sqlite", "process_failed:0", "DeviceProcessFailed = 0 OR DeviceProcessFailed IS NULL", true},
		// The quotation marks at the ends of a literal are taken for its own.
		{"elasticsearch", "site:a'", "DeviceSite STARTS_WITH 'a'", false},
		{"elasticsearch", "site:'a state:b", "DeviceState = 'b'", false},
		{"elasticsearch", "NOT site:a'", "", false},
		{"elasticsearch", "site:'a OR state:b", "", false},

		{"postgres12_pgx", "state:online site:b*", "DeviceState = 'online' AND DeviceSite STARTS_WITH 'b'", true},
		{"postgres12", `site:a?b`, "DeviceSite STARTS_WITH 'a'", false},
		{"postgres12", `site:"a\\b"`, "DeviceSite STARTS_WITH 'a'", false},
		{"postgres12", `tag.v:"say \"hi\""`, "", false},

		{"sqlite", "site:a", "DeviceSite = 'a'", true},
		{"sqlite", "NOT site:a?", "DeviceSite != 'a?' OR DeviceSite IS NULL", true},
		{"sqlite", "state:online", "DeviceState = 'online'", false},
		{"sqlite", "NOT state:online model:pump", "DeviceModel = 'pump'", false},
		{"sqlite", "id:pump-*", "WorkflowId >= 'device/pump-' AND WorkflowId < 'device/pump.'", true},
		{"sqlite", "NOT site:ab*", "DeviceSite < 'ab' OR DeviceSite >= 'ac' OR DeviceSite IS NULL", true},
		{"sqlite", "site:a!*", "DeviceSite STARTS_WITH 'a!'", false}, // a quotation mark comes next
		{"sqlite", "site:a\ud7ff*", "DeviceSite >= 'a\ud7ff' AND DeviceSite < 'a\ue000'", true},
		{"sqlite", "site:a\U0010ffff*", "DeviceSite STARTS_WITH 'a\U0010ffff'", false},

		{"mysql8", "site:a", "DeviceSite = 'a'", false},
		{"mysql8", "NOT site:a", "", false},
		{"", "state:a id:b*", "DeviceState = 'a' AND WorkflowId STARTS_WITH 'device/b'", false},
		{"sqlite,elasticsearch", "NOT state:a", "", false},
		{"", "connection:unknown", "DeviceConnection IS NULL", true},
	} {
		query, err := api.ParseQuery(tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		if got, exact := visibilityQuery(query, tt.database); got != tt.want || exact != tt.exact {
			t.Errorf("%s, %s: %s, exact %t; want %s, %t", tt.database, tt.query, got, exact, tt.want, tt.exact)
		}
	}
}

// However a query is written, what Temporal reads are the terms' values or their
// beginnings, and the words of this program, nothing else.
func FuzzVisibilityQuery(f *testing.F) {
	for _, s := range []string{`state:"a' OR 1=1"`, `tag.a\:"\\\\'"`, `id:"\\"*`, `reported.x':"\"'\\'"`, "site:''", `NOT (site:"'a'" OR tag."a:b":c?)`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		query, err := api.ParseQuery(text)
		if err != nil {
			return
		}
		values := literalsOf(query)
		for _, database := range []string{"sqlite", "postgres12", "elasticsearch", ""} {
			translated, _ := visibilityQuery(query, database)
			words, literals := readVisibility(t, translated)
			for _, literal := range literals {
				if !slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, literal) || follows(v, literal) }) {
					t.Errorf("%q: Temporal reads %q, want only of %q", text, literal, values)
				}
			}
			if rest := strings.Trim(words, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_=<>!() 0123456789"); rest != "" {
				t.Errorf("%q: outside the literals stands %q", text, words)
			}
		}
	})
}

// literalsOf are the strings that the terms of a query stand for.
func literalsOf(q api.Query) (values []string) {
	switch q := q.(type) {
	case api.And:
		for _, part := range q {
			values = append(values, literalsOf(part)...)
		}
	case api.Or:
		for _, part := range q {
			values = append(values, literalsOf(part)...)
		}
	case api.Not:
		return literalsOf(q.Query)
	case api.Term:
		switch q.Field {
		case api.FieldFaults, api.FieldProcessFailed:
			return nil
		case api.FieldLastSeen:
			return []string{time.Unix(q.Number, 0).UTC().Format(time.RFC3339)}
		case api.FieldID:
			return []string{"device/" + q.Value}
		case api.FieldTag, api.FieldProperty:
			return []string{q.Key + "=" + q.Value}
		}
		return []string{q.Value}
	}
	return values
}

// follows reports whether a string is the beginning of a value with its last character
// replaced by a greater one.
func follows(value, next string) bool {
	a, b := []rune(value), []rune(next)
	n := len(b) - 1
	return n >= 0 && n < len(a) && string(a[:n]) == string(b[:n]) && b[n] > a[n]
}

// readVisibility splits a query as Temporal's tokenizer does: in a literal
// two quotation marks are one, and a backslash takes the next byte, where 0 b n r
// t Z stand for control characters.
func readVisibility(t *testing.T, query string) (words string, literals []string) {
	t.Helper()
	control := map[byte]byte{'0': 0, 'b': '\b', 'n': '\n', 'r': '\r', 't': '\t', 'Z': 26}
	for i := 0; i < len(query); i++ {
		if query[i] != '\'' {
			words += string(query[i])
			continue
		}
		var literal []byte
		for i++; ; i++ {
			if i >= len(query) {
				t.Fatalf("a literal is not closed: %s", query)
			}
			if query[i] == '\'' {
				if i+1 < len(query) && query[i+1] == '\'' {
					i++
				} else {
					break
				}
			}
			if query[i] == '\\' {
				i++
				if c, ok := control[query[i]]; ok {
					literal = append(literal, c)
					continue
				}
			}
			literal = append(literal, query[i])
		}
		literals = append(literals, string(literal))
	}
	return words, literals
}
