package twin

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Document is one shadow of a device: an immutable value. The zero Document is a
// shadow that was never created.
type Document struct {
	version           int64
	desired, reported section
	deleted           bool // then it is a tombstone: only a version and a time
	deletedAt         int64
}

// section is desired or reported. One without keys is the zero section.
type section struct {
	value object
	times *stamp
}

func (s section) size() int {
	if s.value == nil {
		return 0
	}
	return len(appendValue(nil, s.value))
}

// merged applies a request's part for a section: null removes it.
func (s section) merged(patch any, at *stamp) section {
	if patch == nil {
		return section{}
	}
	var old any
	if s.value != nil {
		old = s.value
	}
	v, times := merge(old, s.times, patch, at)
	if value := v.(object); len(value) > 0 {
		return section{value, times}
	}
	return section{}
}

// Exists reports whether there is a shadow: created, and not deleted since.
func (d Document) Exists() bool { return d.version > 0 && !d.deleted }

// IsZero reports whether nothing is known, not even a version that was deleted.
func (d Document) IsZero() bool { return d.version == 0 }

// Version is the number of the latest accepted update, from 1; also that of a
// shadow that was deleted, as long as it is remembered. 0: none.
func (d Document) Version() int64 { return d.version }

// Values is the document as expressions read it: {desired, reported, delta,
// version}, the first three always objects, numbers as doubles. It is a copy.
func (d Document) Values() map[string]any {
	delta, _ := d.delta()
	return object{
		"desired":  plainObject(d.desired.value),
		"reported": plainObject(d.reported.value),
		"delta":    plainObject(delta),
		"version":  float64(d.version),
	}
}

// delta is what desired has and reported lacks; ok is false if nothing.
func (d Document) delta() (delta object, ok bool) {
	if d.desired.value == nil {
		return nil, false
	}
	reported := d.reported.value
	if reported == nil {
		reported = object{}
	}
	v, ok := difference(d.desired.value, reported)
	if !ok {
		return nil, false
	}
	return v.(object), true
}

// Prune forgets a deleted shadow whose time is over.
func Prune(d Document, now time.Time, limits Limits) Document {
	if d.deleted && now.Sub(time.UnixMilli(d.deletedAt)) > limits.Tombstone {
		return Document{}
	}
	return d
}

// formatVersion is that of the stored form.
const formatVersion = 1

// MarshalJSON writes the stored form: {"v":1,"version":n}, and desired and
// reported with the times of their values, or deletedAt (unix milliseconds). The
// same document gives the same bytes; the zero Document is null.
func (d Document) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	w := object{"v": int64(formatVersion), "version": d.version}
	put := func(name string, s section) {
		if s.value != nil {
			w[name], w[name+"At"] = s.value, s.times.value()
		}
	}
	put("desired", d.desired)
	put("reported", d.reported)
	if d.deleted {
		w["deletedAt"] = d.deletedAt
	}
	return appendValue(nil, w), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Document) UnmarshalJSON(b []byte) error {
	out, err := readDocument(b)
	if err != nil {
		return fmt.Errorf("read twin document: %w", err)
	}
	*d = out
	return nil
}

func readDocument(b []byte) (out Document, err error) {
	v, err := decode(b)
	if err != nil || v == nil {
		return Document{}, err
	}
	w, ok := v.(object)
	if !ok {
		return Document{}, errors.New("not a JSON object")
	}
	if n, ok := w["v"].(json.Number); !ok || !sameNumber(n, "1") {
		return Document{}, fmt.Errorf("format version %v; this program reads version %d", w["v"], formatVersion)
	}
	if n, ok := w["version"].(json.Number); ok {
		out.version, _ = wholeNumber(n)
	}
	if out.version < 1 {
		return Document{}, fmt.Errorf("version %v: expected an integer of at least 1", w["version"])
	}
	if out.desired, err = readSection(w, "desired"); err != nil {
		return Document{}, err
	}
	if out.reported, err = readSection(w, "reported"); err != nil {
		return Document{}, err
	}
	if at, ok := w["deletedAt"]; ok {
		n, _ := at.(json.Number)
		if out.deletedAt, err = n.Int64(); err != nil || out.desired.value != nil || out.reported.value != nil {
			return Document{}, errors.New("deletedAt is not a time in milliseconds, or the deleted shadow has a state")
		}
		out.deleted = true
	}
	return out, nil
}

func readSection(w object, name string) (section, error) {
	v, ok := w[name]
	if !ok {
		return section{}, nil
	}
	value, ok := v.(object)
	if !ok || len(value) == 0 {
		return section{}, fmt.Errorf("%s: expected an object with at least one key", name)
	}
	if fault := checkStored(value); fault != nil {
		return section{}, fmt.Errorf("%s: %w", name, fault)
	}
	times, err := readStamp(w[name+"At"], value)
	if err != nil {
		return section{}, fmt.Errorf("%sAt: %w", name, err)
	}
	return section{value, times}, nil
}
