package dialect

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"devicetwin/internal/schema/schematest"
	"devicetwin/source"
)

const schemaFile = "../../dialects/dialect.schema.json"

var update = flag.Bool("update", false, "write the schema again")

func readSchema(t *testing.T) schematest.Validator {
	t.Helper()
	b, err := Schema()
	return schematest.Of(t, b, err)
}

func TestSchemaFile(t *testing.T) {
	got, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is another one: go test ./wire/dialect -run TestSchemaFile -update", schemaFile)
	}
}

// unknownKey has, for each mapping of a file, a dialect with a key in it that does not exist. Load
// then says which keys do.
var unknownKey = map[string]struct{ path, dialect string }{
	"dialect":   {"", `{zzz: 1}`},
	"topic":     {"$defs/topic", `{topics: [{zzz: 1}]}`},
	"message":   {"$defs/message", `{topics: [{topic: x, messages: [{zzz: 1}]}]}`},
	"payload":   {"$defs/payload/anyOf/1", `{payload: {zzz: 1}}`},
	"field":     {"$defs/field", `{payload: {format: bytes, layout: {zzz: 1}}}`},
	"time":      {"$defs/time/anyOf/1", `{time: {zzz: 1}}`},
	"status":    {"$defs/status", `{status: {zzz: 1}}`},
	"command":   {"$defs/command", `{commands: [{zzz: 1}]}`},
	"desired":   {"$defs/desired", `{desired: [{zzz: 1}]}`},
	"ask":       {"$defs/ask", `{ask: [{zzz: 1}]}`},
	"number":    {"$defs/message/properties/number", `{topics: [{topic: x, channel: telemetry, number: {zzz: 1}}]}`},
	"discovery": {"properties/discovery", `{discovery: {zzz: 1}}`},
}

// This also finds a key without a word about it.
func TestSchemaHasTheKeysOfLoad(t *testing.T) {
	root := readSchema(t)
	for name, c := range unknownKey {
		_, err := Load("x.yaml", []byte(c.dialect))
		got, want := schematest.Keys(t, name, root.At(c.path)), schematest.KeysOfLoad(t, c.dialect, err)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the schema has the keys %q, Load has %q", name, got, want)
		}
	}
}

func TestSchemaAcceptsWhatLoads(t *testing.T) {
	root := readSchema(t)
	texts := map[string]string{"everything": everything, "several": several, "tasmotaLike": tasmotaLike}
	files, err := filepath.Glob("../../dialects/*/dialect.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialects: ", err)
	}
	docs, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	for kind, block := range blocks(string(docs)) {
		if kind == "yaml" {
			texts[block] = block
		}
	}
	for name, text := range texts {
		if err := root.Validate(source.Parse(name, []byte(text)).Root().Any()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	root := readSchema(t)
	for _, text := range []string{
		`{}`, `[]`, `{dialect: d}`, `{dialect: D, topics: []}`, `{dialect: d, topics: [{channel: telemetry}]}`,
		`{dialect: d, topics: [{topic: x, channel: telemtry}]}`, `{dialect: d, topics: [{topic: x, messages: [{}]}]}`,
		`{dialect: d, topics: [], payload: jsn}`, `{dialect: d, topics: [], payload: {numbers: true}}`, `{dialect: d, topics: [], time: {unit: s}}`,
		`{dialect: d, topics: [{topic: x, channel: telemetry, number: {epoch: 1}}]}`, `{dialect: d, topics: [{topic: x, channel: telemetry, when: [a]}]}`,
		`{dialect: d, topics: [], absent: [[1]]}`, `{dialect: d, topics: [], time: {at: payload.t, unit: m}}`,
	} {
		if root.Validate(source.Parse("x", []byte(text)).Root().Any()) == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}
