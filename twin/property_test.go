package twin

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Few keys and few values, so that they meet.
var (
	anyKey  = rapid.SampledFrom([]string{"a", "b", "c", "timestamp", "a.b", "ü"})
	anyLeaf = rapid.SampledFrom([]any{true, false, "", "x", json.Number("0"), json.Number("1"), json.Number("1.0"), json.Number("10e-1"), json.Number("2")})
)

func anyValue(depth int, nulls bool) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		switch {
		case kind == 0 && nulls:
			return nil
		case kind <= 3 && depth > 0:
			return any(anyObject(depth-1, nulls).Draw(t, "object"))
		case kind == 4 && depth > 0:
			return rapid.SliceOfN(anyValue(depth-1, false), 0, 3).Draw(t, "array")
		}
		return anyLeaf.Draw(t, "leaf")
	})
}

func anyObject(depth int, nulls bool) *rapid.Generator[object] {
	return rapid.Custom(func(t *rapid.T) object {
		return rapid.MapOfN(anyKey, anyValue(depth, nulls), 0, 4).Draw(t, "keys")
	})
}

// drawState is the state of a request; each section is sometimes not there and
// sometimes null.
func drawState(t *rapid.T) any {
	if rapid.IntRange(0, 30).Draw(t, "clear") == 0 {
		return nil
	}
	state := object{}
	for _, name := range []string{"desired", "reported"} {
		switch kind := rapid.IntRange(0, 9).Draw(t, name); {
		case kind == 0:
			state[name] = nil
		case kind <= 7:
			state[name] = anyObject(3, true).Draw(t, name)
		}
	}
	return state
}

func requestOf(state any) []byte { return appendValue(nil, object{"state": state}) }

// drawDocument is a document after some updates, each at its own time.
func drawDocument(t *rapid.T) (Document, time.Time) {
	doc, now := Document{}, t0
	for range rapid.IntRange(0, 5).Draw(t, "updates") {
		now = now.Add(time.Second)
		doc = accept(t, doc, requestOf(drawState(t)), now)
	}
	return doc, now
}

func accept(t *rapid.T, doc Document, request []byte, now time.Time) Document {
	next, _, refused := Update(doc, request, now, limits)
	if refused != nil {
		t.Fatalf("%s was refused: %v", request, refused)
	}
	return next
}

// Merged into reported, the delta makes it equal to desired on desired's keys.
func TestPropertyDeltaAppliedToReportedGivesDesired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, now := drawDocument(t)
		delta, ok := doc.delta()
		next := accept(t, doc, requestOf(object{"reported": delta}), now)
		if ok && valuesOf(next) == valuesOf(doc) {
			t.Fatal("there was a delta, and it changed nothing")
		}
		if delta, ok := next.delta(); ok {
			t.Fatalf("delta left over: %v", delta)
		}
		if !has(doc.desired.value, next.reported.value) {
			t.Fatalf("desired %v, reported %v", doc.desired.value, next.reported.value)
		}
		// And it touches nothing but what differed.
		for _, k := range sortedKeys(doc.reported.value) {
			if _, named := delta[k]; !named && !equal(doc.reported.value[k], next.reported.value[k]) {
				t.Fatalf("%q changed and was not in the delta", k)
			}
		}
	})
}

// has reports whether an object has all of another, written without difference.
func has(wanted, got any) bool {
	w, ok := wanted.(object)
	if !ok {
		return equal(wanted, got)
	}
	g, ok := got.(object)
	for k, v := range w {
		if e, there := g[k]; !there || !has(v, e) {
			return false
		}
	}
	return ok
}

func valuesOf(d Document) string {
	return string(appendValue(nil, object{"d": d.desired.value, "r": d.reported.value}))
}

func TestPropertyMergeIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, now := drawDocument(t)
		request := requestOf(drawState(t))
		once := accept(t, doc, request, now)
		twice := accept(t, once, request, now)
		if valuesOf(once) != valuesOf(twice) {
			t.Fatalf("%s once: %s, twice: %s", request, valuesOf(once), valuesOf(twice))
		}
		if c := ChangedPaths(once, twice); len(c.Desired)+len(c.Reported) > 0 {
			t.Fatalf("changed: %v", c)
		}
	})
}

// The merge is that of RFC 7396, as its pseudocode has it.
func TestPropertyMergeIsRFC7396(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := anyObject(3, false).Draw(t, "old")
		patch := anyObject(3, true).Draw(t, "patch")
		got, _ := merge(old, &stamp{}, patch, &stamp{at: 1})
		before := string(appendValue(nil, old))
		if want := rfc7396(old, patch); string(appendValue(nil, got)) != string(appendValue(nil, want)) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if string(appendValue(nil, old)) != before {
			t.Fatal("the old value changed")
		}
	})
}

func rfc7396(target, patch any) any {
	p, ok := patch.(object)
	if !ok {
		return patch
	}
	out := object{}
	if old, ok := target.(object); ok {
		for k, v := range old {
			out[k] = v
		}
	}
	for k, v := range p {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = rfc7396(out[k], v)
		}
	}
	return out
}

func TestPropertyVersionRisesByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, now := drawDocument(t)
		request := requestOf(drawState(t))
		if got := accept(t, doc, request, now).Version(); got != doc.Version()+1 {
			t.Fatalf("from %d to %d", doc.Version(), got)
		}
		if stale := doc.Version() + rapid.Int64Range(1, 3).Draw(t, "off"); doc.Exists() {
			named := appendValue(nil, object{"state": object{}, "version": stale})
			if next, _, refused := Update(doc, named, now, limits); refused == nil || next.Version() != doc.Version() {
				t.Fatalf("version %d was taken at %d", stale, doc.Version())
			}
		}
	})
}

// Metadata has the shape of the state, with a time for each value; and each time
// is that of the last request that named the value.
func TestPropertyMetadataShapeFollowsState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, now := drawDocument(t)
		now = now.Add(time.Second)
		state := drawState(t)
		next := accept(t, doc, requestOf(state), now)
		payload, _ := Get(next, "x", nil, now, limits)
		v, err := decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		got := v.(object)
		meta := got["metadata"].(object)
		full := got["state"].(object)
		delete(full, "delta")
		if !shaped(full, meta) {
			t.Fatalf("state %v, metadata %v", full, meta)
		}
		patch, _ := state.(object)
		for _, name := range []string{"desired", "reported"} {
			p, _ := patch[name].(object)
			s, _ := full[name].(object)
			m, _ := meta[name].(object)
			if !timed(t, p, s, m, json.Number(string(appendValue(nil, now.Unix())))) {
				t.Fatalf("patch %v, state %v, metadata %v", p, s, m)
			}
		}
	})
}

func shaped(state, meta any) bool {
	switch s := state.(type) {
	case object:
		m, ok := meta.(object)
		if !ok || len(m) != len(s) {
			return false
		}
		for k := range s {
			if !shaped(s[k], m[k]) {
				return false
			}
		}
		return true
	case []any:
		m, ok := meta.([]any)
		if !ok || len(m) != len(s) {
			return false
		}
		for i := range s {
			if !shaped(s[i], m[i]) {
				return false
			}
		}
		return true
	}
	m, ok := meta.(object)
	_, number := m["timestamp"].(json.Number)
	return ok && number && len(m) == 1
}

// timed: exactly the values that the patch named have the time now.
func timed(t *rapid.T, patch, state, meta object, now json.Number) bool {
	for k, s := range state {
		p, named := patch[k]
		if inner, ok := s.(object); ok {
			pi, _ := p.(object)
			if !timed(t, pi, inner, meta[k].(object), now) {
				return false
			}
			continue
		}
		m, leaf := meta[k].(object)
		if leaf && (m["timestamp"] == now) != named {
			return false
		}
	}
	return true
}

func TestPropertyStoredDocumentReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, now := drawDocument(t)
		if rapid.Bool().Draw(t, "delete") && doc.Exists() {
			doc, _, _ = Delete(doc, "x", nil, now, limits)
		}
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var again Document
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		c, _ := json.Marshal(again)
		if string(b) != string(c) {
			t.Fatalf("%s\n%s", b, c)
		}
		// And goes on in the same way, byte for byte.
		request := requestOf(drawState(t))
		d1, a1, _ := Update(doc, request, now, limits)
		d2, a2, _ := Update(again, request, now, limits)
		if string(a1.Accepted)+string(a1.Documents)+string(a1.Delta) != string(a2.Accepted)+string(a2.Documents)+string(a2.Delta) {
			t.Fatal("the answers differ")
		}
		x, _ := d1.MarshalJSON()
		if y, _ := d2.MarshalJSON(); string(x) != string(y) {
			t.Fatal("the documents differ")
		}
	})
}

// Nothing that happens to a document changes one that was before it.
func TestPropertyDocumentsAreImmutable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, now := Document{}, t0
		type kept struct {
			doc  Document
			text string
		}
		var all []kept
		for range 6 {
			b, _ := doc.MarshalJSON()
			all = append(all, kept{doc, string(b)})
			now = now.Add(time.Second)
			doc = accept(t, doc, requestOf(drawState(t)), now)
			doc.Values()
			Delta(doc, now)
		}
		for _, k := range all {
			if b, _ := k.doc.MarshalJSON(); string(b) != k.text {
				t.Fatalf("was %s, is %s", k.text, b)
			}
		}
	})
}

// What is written without escapes is what encoding/json reads.
func TestPropertyStringsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != s {
			t.Fatalf("%q came back as %q: %v", s, got, err)
		}
	})
}

func TestPropertyNumbersCompareAsFractions(t *testing.T) {
	text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,4})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b = a + "e0"
			if !json.Valid([]byte(b)) {
				b = a
			}
		}
		if got, want := sameNumber(json.Number(a), json.Number(b)), fraction(t, a).Cmp(fraction(t, b)) == 0; got != want {
			t.Fatalf("%s and %s: %t", a, b, got)
		}
	})
}
