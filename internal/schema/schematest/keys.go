// Package schematest is what tests of the schemas of files ask: what a schema accepts, and whether it has the
// keys that the loader of the file knows.
package schematest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"devicetwin/source"
)

// Of is a schema as a package makes it, with its error.
func Of(t testing.TB, schema []byte, err error) Validator {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	v, err := Read(schema)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Keys are those of the part of a schema that is a mapping, sorted. A key about which nothing is said is an error.
func Keys(t testing.TB, name string, part any) []string {
	t.Helper()
	of, _ := part.(map[string]any)
	properties, ok := of["properties"].(map[string]any)
	if !ok {
		t.Fatalf("%s: the schema has no mapping there", name)
	}
	for key, word := range properties {
		if len(word.(map[string]any)) == 0 {
			t.Errorf("%s: nothing is said about key %q; add it to the words of the schema", name, key)
		}
	}
	return slices.Sorted(maps.Keys(properties))
}

// KeysOfLoad are those that a loader knows at a place, sorted, from the error of a file that has the
// key zzz there.
func KeysOfLoad(t testing.TB, file string, err error) []string {
	t.Helper()
	var faults source.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			if _, list, ok := strings.Cut(f.Message, `"zzz"; expected one of `); ok {
				return slices.Sorted(slices.Values(strings.Split(list, ", ")))
			}
		}
	}
	t.Fatalf("%s: no unknown key: %v", file, err)
	return nil
}
