package tap

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// topics are those that no dialect reads, with what was published there.
type topics struct {
	seen     map[string]*seen
	messages int // all of them
	left     int // of these, those on topics that were one too many
}

// seen is what was published on a topic.
type seen struct {
	kinds kinds
	words []string // other payloads than numbers and objects, at most one more than maxWords
}

// maxTopics bounds how many are kept.
const maxTopics = 10_000

// maxWords is how many words between numbers are proposed as absent.
const maxWords = 3

// maxWord bounds one of them, in bytes; longer ones are cut, and not proposed.
const maxWord = 40

func (t *topics) add(topic string, payload []byte) {
	t.messages++
	s := t.seen[topic]
	if s == nil {
		if len(t.seen) == maxTopics {
			t.left++
			return
		}
		s = &seen{}
		if t.seen == nil {
			t.seen = map[string]*seen{}
		}
		t.seen[topic] = s
	}
	word := bytes.Trim(payload, " \t\r\n\x00") // as package format does
	kind := kindOf(word)
	s.kinds |= kind
	if kind&(kindText|kindString|kindNull|kindNaN) == 0 || len(s.words) > maxWords {
		return
	}
	if w := string(word[:min(len(word), maxWord+1)]); !slices.Contains(s.words, w) {
		s.words = append(s.words, w)
	}
}

// kinds are what payloads look like.
type kinds uint16

const (
	kindNumber kinds = 1 << iota
	kindNaN          // nan and inf, which are numbers without a value
	kindObject       // of JSON
	kindList
	kindObjects // a list of objects
	kindString  // in quotes
	kindBool
	kindNull
	kindPairs // a=1 b=2
	kindBytes // not UTF-8
	kindText
)

const (
	kindsNumber = kindNumber | kindNaN
	kindsWhole  = kindObject | kindObjects // of JSON with names in it
	kindsJSON   = kindNumber | kindsWhole | kindList | kindString | kindBool | kindNull
)

// kindOf is that of a payload without the spaces around it; 0: it is empty.
func kindOf(payload []byte) kinds {
	switch {
	case len(payload) == 0:
		return 0
	case !utf8.Valid(payload):
		return kindBytes
	case json.Valid(payload):
		return kindOfJSON(payload)
	}
	switch s := string(payload); strings.ToLower(strings.TrimLeft(s, "+-")) {
	case "nan", "inf", "infinity":
		return kindNaN
	default:
		if strings.Contains(s, "=") && !strings.ContainsAny(s, "{}") {
			return kindPairs
		}
	}
	return kindText
}

func kindOfJSON(payload []byte) kinds {
	switch payload[0] {
	case '{':
		return kindObject
	case '[':
		return kindOfList(payload)
	case '"':
		return kindString
	case 'n':
		return kindNull
	case 't', 'f':
		return kindBool
	}
	return kindNumber
}

func kindOfList(payload []byte) kinds {
	var elements []map[string]json.RawMessage
	if json.Unmarshal(payload, &elements) != nil || len(elements) == 0 {
		return kindList
	}
	return kindObjects
}

// class is what topics are separated by that are to have templates of their own.
type class byte

const (
	classScalar class = iota // one value
	classWhole               // several, with names: the data of a message
	classStatus              // online and offline
)

func (s *seen) class() class {
	switch {
	case s.kinds&(kindsWhole|kindPairs|kindBytes) != 0:
		return classWhole
	case len(s.words) > 0 && s.kinds&^(kindText|kindString) == 0 && !slices.ContainsFunc(s.words, notStatus):
		return classStatus
	}
	return classScalar
}

func notStatus(word string) bool {
	word = strings.Trim(word, `"`)
	return !strings.EqualFold(word, "online") && !strings.EqualFold(word, "offline")
}
