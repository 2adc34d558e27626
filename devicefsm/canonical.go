package devicefsm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"devicetwin/source"
)

// canonicalVersion is part of every hash: it changes when the same file comes
// to mean something else.
const canonicalVersion = "devicetwin model 1\n"

// What the keys of a model file hold, for its canonical form.
var (
	// orderedKeys hold mappings whose order means something: which rule comes
	// first, which transition is chosen, in which order states are entered.
	orderedKeys = map[string]bool{"events": true, "states": true, "on": true, "after": true, "patterns": true, "windows": true, "alarms": true, "schedules": true, "hours": true}
	// plainKeys hold values of the author's own, where no key means anything.
	plainKeys = map[string]bool{"context": true, "config": true, "data": true, "input": true, "output": true, "assign": true, "desire": true, "meta": true}
	// durationKeys hold durations.
	durationKeys = map[string]bool{
		"silent_after": true, "tolerance": true, "within": true, "gap": true, "ttl": true, "delay": true, "max_idle": true, "settle": true,
		"over": true, "slide": true, "grace": true, "every": true,
		"attempt_timeout": true, "deadline": true, "initial_interval": true, "max_interval": true,
	}
	// commentKeys hold what is for people only.
	commentKeys = map[string]bool{"description": true}
)

func canonicalHash(root source.Node) string {
	h := sha256.New()
	h.Write([]byte(canonicalVersion))
	h.Write(canonical(nil, root, ""))
	return hex.EncodeToString(h.Sum(nil))
}

// canonical appends the canonical form of a node, the value of a key.
func canonical(b []byte, n source.Node, key string) []byte {
	switch {
	case plainKeys[key]:
		return appendJSON(b, n.Any())
	case durationKeys[key]:
		return appendJSON(b, canonicalDelay(n.Scalar()))
	case n.IsList():
		b = append(b, '[')
		for i, e := range n.List() {
			if i > 0 {
				b = append(b, ',')
			}
			b = canonical(b, e, key+"[]")
		}
		return append(b, ']')
	case n.IsMap():
		return canonicalMap(b, n, key)
	}
	return appendJSON(b, n.Any())
}

func canonicalMap(b []byte, n source.Node, key string) []byte {
	values := map[string]source.Node{}
	var keys []string
	for _, e := range n.Entries() {
		k := e.Key
		if !orderedKeys[key] && commentKeys[k] {
			continue
		}
		if key == "after" {
			k = canonicalDelay(k)
		}
		keys = append(keys, k)
		values[k] = e.Value
	}
	open, end := byte('{'), byte('}')
	if orderedKeys[key] {
		open, end = '[', ']' // a list of keys and values, so that the order counts
	} else {
		keys = slices.Sorted(maps.Keys(values))
	}
	b = append(b, open)
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, k)
		b = append(b, ':')
		inside := k
		if orderedKeys[key] {
			inside = key + "." // the author's own name, whatever it is
		}
		b = canonical(b, values[k], inside)
	}
	return append(b, end)
}

// canonicalDelay writes a duration in milliseconds; an expression stays.
func canonicalDelay(text string) string {
	if _, ok := wholeNumber(text); ok {
		return text
	}
	d, err := source.ParseDuration(text)
	if err != nil {
		return text
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // a value read from a file is always JSON
		text = []byte("null")
	}
	return append(b, text...)
}
