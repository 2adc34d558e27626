package registry

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"devicetwin/device"
)

// Change changes the registry in one way: the first of its pointers that is not nil.
type Change struct {
	// Key identifies the change: with the same one it is made once.
	Key  string `json:"key"`
	Who  string `json:"who,omitempty"`
	Note string `json:"note,omitempty"` // why
	// Expected is the revision of what is changed, a model or the rules; 0: any.
	Expected uint64 `json:"expected,omitempty"`

	Push    *Text       `json:"push,omitempty"`
	Default *VersionRef `json:"default,omitempty"`
	Remove  *VersionRef `json:"remove,omitempty"`
	// Rules replace all rules.
	Rules *Rules `json:"rules,omitempty"`
	Seed  *Seed  `json:"seed,omitempty"`
}

// Text is a version of a model with its text. Who pushes it has read it, and says what is in
// it; who uses it checks its hash.
type Text struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Hash  string `json:"hash"`
	File  string `json:"file"`  // the name of a model may be that of its file
	Bytes int    `json:"bytes"` // of the text
	Gzip  []byte `json:"gzip"`  // the text, compressed
}

// VersionRef is a version of a model by its number.
type VersionRef struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
}

// Seed is what a process was given as files and flags. What the registry knows already, a model
// by its name, the rules of a source or the model of a kind, stays as it is.
type Seed struct {
	// Contents are versions of one model, of which the first one becomes the default.
	Contents []Text            `json:"contents,omitempty"`
	Sources  map[string]Source `json:"sources,omitempty"`
	Kinds    map[string]string `json:"kinds,omitempty"`
}

// Result is what a change did.
type Result struct {
	// Revision is that of what was changed, a model or the rules.
	Revision uint64 `json:"revision"`
	Model    string `json:"model,omitempty"`
	Version  int    `json:"version,omitempty"`
	Hash     string `json:"hash,omitempty"`
	// Created is false if there was nothing to do.
	Created bool `json:"created"`
}

// Record is a change in the audit.
type Record struct {
	At       time.Time `json:"at"`
	Who      string    `json:"who,omitempty"`
	What     string    `json:"what"` // push, default, remove, rules, seed
	Model    string    `json:"model,omitempty"`
	Version  int       `json:"version,omitempty"`
	Hash     string    `json:"hash,omitempty"`
	Note     string    `json:"note,omitempty"`
	Revision uint64    `json:"revision"`
}

// Compress makes the text of a version.
func Compress(src []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(src)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// Source is the text of a version, which has at most MaxText bytes.
func (t Text) Source() ([]byte, error) {
	src, err := decompress(t.Gzip, MaxText)
	if err != nil {
		return nil, fmt.Errorf("read the text of model %s: %w", t.Hash, err)
	}
	return src, nil
}

// decompress reads what Compress wrote, if it has at most so many bytes.
func decompress(from []byte, most int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(from))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	return raw, err
}

// print reports whether two changes with one key ask for the same.
func (c Change) print() string {
	c.Key, c.Who = "", ""
	raw, _ := json.Marshal(c) // of strings and numbers
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// contents are those that a change brings.
func (c Change) texts() []Text {
	switch {
	case c.Push != nil:
		return []Text{*c.Push}
	case c.Seed != nil:
		return c.Seed.Contents
	}
	return nil
}

// Check refuses what no registry takes, whatever is in it.
func (c Change) Check() *device.Refused {
	switch {
	case c.Key == "" || len(c.Key) > maxKey:
		return device.Refuse(400, "idempotency key of %d bytes: expected 1 to %d", len(c.Key), maxKey)
	case len(c.Who) > maxWho:
		return device.Refuse(400, "the caller's name has %d bytes: expected at most %d", len(c.Who), maxWho)
	case len(c.Note) > maxNote || !plain(c.Note):
		return device.Refuse(400, "note of %d bytes: expected at most %d, without control characters", len(c.Note), maxNote)
	case c.Push == nil && c.Default == nil && c.Remove == nil && c.Rules == nil && c.Seed == nil:
		return device.Refuse(400, "the change changes nothing")
	}
	total := 0
	for _, t := range c.texts() {
		if refused := t.check(); refused != nil {
			return refused
		}
		if total += len(t.Gzip); total > maxSeed {
			return device.Refuse(413, "the contents of model %s have more than %d bytes, compressed", t.Name, maxSeed)
		}
	}
	if c.Seed != nil {
		for _, t := range c.Seed.Contents {
			if first := c.Seed.Contents[0]; t.Name != first.Name || t.Kind != first.Kind {
				return device.Refuse(400, "model %s of kind %s: expected versions of model %s of kind %s", t.Name, t.Kind, first.Name, first.Kind)
			}
		}
		return checkRules(c.Seed.Sources, c.Seed.Kinds)
	}
	if c.Rules != nil {
		return checkRules(c.Rules.Sources, c.Rules.Kinds)
	}
	return nil
}

func (t Text) check() *device.Refused {
	switch {
	case !ValidName(t.Name):
		return device.Refuse(422, "model name %q: expected 1 to %d of a-z A-Z 0-9 _ . - (model: in the file)", t.Name, maxName)
	case len(t.Hash) != 2*sha256.Size || strings.Trim(t.Hash, "0123456789abcdef") != "":
		return device.Refuse(400, "hash %q: expected that of a model", t.Hash)
	case t.File == "" || len(t.File) > maxFile || !plain(t.File) || strings.ContainsAny(t.File, `/\`):
		return device.Refuse(400, "file name %q: expected 1 to %d bytes, without / and \\", t.File, maxFile)
	case t.Bytes > MaxText || len(t.Gzip) > MaxText || len(t.Gzip) == 0:
		return device.Refuse(413, "model %s has %d bytes: expected 1 to %d", t.Name, t.Bytes, MaxText)
	}
	if _, err := device.ParseKind(t.Kind); err != nil {
		return device.Refuse(400, "model %s: %v", t.Name, err)
	}
	return nil
}

// ValidName reports whether a model of this name can be in a registry.
func ValidName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r))
	})
}

func checkRules(sources map[string]Source, kinds map[string]string) *device.Refused {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if name != SourceMQTT && name != SourceKafka {
			faults = append(faults, fmt.Errorf("source %q: expected %s or %s", name, SourceMQTT, SourceKafka))
		}
		if n := len(sources[name].Rules); n > MaxRules {
			faults = append(faults, fmt.Errorf("%d rules of %s: expected at most %d", n, name, MaxRules))
		}
		for _, r := range sources[name].Rules {
			if err := checkPattern(r.Pattern); err != nil {
				faults = append(faults, fmt.Errorf("rule of %s: %w", name, err))
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if k, err := device.ParseKind(kind); err != nil {
			faults = append(faults, err)
		} else if k == device.KindDevice {
			faults = append(faults, errors.New("the model of devices is that of their source"))
		}
	}
	if len(kinds) > MaxRules {
		faults = append(faults, fmt.Errorf("%d kinds: expected at most %d", len(kinds), MaxRules))
	}
	rules := Rules{Sources: sources, Kinds: kinds}
	rules.each(func(where, ref string) {
		if ref == "" || len(ref) > maxRef || !plain(ref) {
			faults = append(faults, fmt.Errorf("%s: model %q: expected NAME, NAME@VERSION or a hash", where, ref))
		}
	})
	if err := errors.Join(faults...); err != nil {
		return device.Refuse(422, "%v", err)
	}
	return nil
}

// plain reports whether a string is UTF-8 without control characters.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }
