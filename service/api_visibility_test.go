package service

import (
	"slices"
	"strings"
	"testing"

	"devicetwin/api"
)

func TestVisibilityQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                             "",
		"state:online":                 "DeviceState = 'online'",
		"id:pump-* model:pump":         "WorkflowId STARTS_WITH 'device/pump-' AND DeviceModel = 'pump'",
		"model_hash:0123abcd":          "DeviceModelHash = '0123abcd'",
		"id:pump-1":                    "WorkflowId = 'device/pump-1'",
		"connection:offline site:a":    "DeviceConnection = 'offline' AND DeviceSite = 'a'",
		"connection:unknown":           "DeviceConnection IS NULL",
		`tag.hall:"3 b"`:               "DeviceTags = 'hall=3 b'",
		"reported.net.ip:10.0.0.1":     "DeviceProperties = 'reported.net.ip=10.0.0.1'",
		`firmware:"x' OR '1'='1"`:      "DeviceFirmware = 'x'' OR ''1''=''1'",
		`firmware:"x\\' OR 1=1 -- \\"`: `DeviceFirmware = 'x\\'' OR 1=1 -- \\'`,
	} {
		terms, err := api.ParseQuery(query)
		if got := visibilityQuery(terms); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", query, got, err, want)
		}
	}
}

// However a query is written, what Temporal reads are the terms' values and the
// words of this program, nothing else.
func FuzzVisibilityQuery(f *testing.F) {
	for _, s := range []string{`state:"a' OR 1=1"`, `tag.a\:"\\\\'"`, `id:"\\"*`, `reported.x':"\"'\\'"`, "site:''"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		terms, err := api.ParseQuery(query)
		if err != nil {
			return
		}
		var values []string
		for _, term := range terms {
			switch {
			case term.Field == api.FieldID:
				values = append(values, "device/"+term.Value)
			case term.Field == api.FieldTag, term.Field == api.FieldProperty:
				values = append(values, term.Key+"="+term.Value)
			case term.Field != api.FieldConnection || term.Value != api.Unknown:
				values = append(values, term.Value)
			}
		}
		words, literals := readVisibility(t, visibilityQuery(terms))
		if !slices.Equal(literals, values) {
			t.Errorf("%q: Temporal reads %q, want %q", query, literals, values)
		}
		if rest := strings.Trim(words, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_= "); rest != "" || strings.Contains(words, " OR ") {
			t.Errorf("%q: outside the literals stands %q", query, words)
		}
	})
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
