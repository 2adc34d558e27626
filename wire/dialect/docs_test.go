package dialect

import (
	"os"
	"slices"
	"strings"
	"testing"

	"devicetwin/wire"
)

const docsFile = "../../docs/dialects.md"

// Each dialect of the documentation makes of the samples below it what they say, and each word
// is in one of them.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	var set *Set
	all := ""
	samples := 0
	for kind, block := range blocks(string(b)) {
		switch kind {
		case "yaml":
			d, err := Load("docs.yaml", []byte(block))
			if err != nil {
				t.Fatalf("%v\n%s", err, block)
			}
			if set, err = NewSet(wire.DefaultConfig(), d); err != nil {
				t.Fatalf("%v\n%s", err, block)
			}
			all += block
		case "samples":
			indented := "samples:\n  " + strings.ReplaceAll(block, "\n", "\n  ")
			list, err := LoadSamples("docs.yaml", []byte(indented))
			if err != nil {
				t.Fatalf("%v\n%s", err, block)
			}
			for _, s := range list {
				if err := s.Check(set); err != nil {
					t.Error(err)
				}
			}
			samples += len(list)
		case "samples file":
			if _, err := LoadSamples("docs.yaml", []byte(block)); err != nil {
				t.Error(err)
			}
		}
	}
	if samples < 20 {
		t.Errorf("%d samples", samples)
	}
	words := slices.Concat(messageKeys, commandKeys, desiredKeys, questionKeys, []string{"commands", "desired", "ask",
		"dialect", "description", "topic", "topics", "messages", "payload", "at", "unit", "zone", "seq", "epoch", "online", "offline", "subscribe", "discovery", "prefix",
		"columns", "header", "separator", "assign", "layout", "type", "endian", "at", "length", "bits", "signed", "scale", "offset"})
	for _, word := range words {
		if !strings.Contains(all, word+":") {
			t.Errorf("no example has the word %s", word)
		}
	}
}

// blocks yields the fenced blocks of a document, with what stands after their first fence.
func blocks(text string) func(func(kind, block string) bool) {
	return func(yield func(kind, block string) bool) {
		parts := strings.Split(text, "\n```")
		for i := 1; i+1 < len(parts); i += 2 {
			kind, block, _ := strings.Cut(parts[i], "\n")
			if !yield(kind, block) {
				return
			}
		}
	}
}
