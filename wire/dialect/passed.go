package dialect

import (
	"errors"

	"devicetwin/wire"
)

// Why says, for people, why Decode made no message of what was published on a topic, from its error: a
// dialect that knows the topic is named, so that "says nothing" and "nobody reads it" differ.
func (s *Set) Why(topic string, payload []byte, err error) string {
	name := s.Speaks(topic)
	if why := s.whyLearned(topic, payload, err); why != "" {
		return why
	}
	switch {
	case errors.Is(err, wire.ErrUnmapped) && name == "":
		return "no dialect reads it"
	case errors.Is(err, wire.ErrUnmapped):
		return name + ": says nothing"
	case !errors.Is(err, wire.ErrNotInput):
		return err.Error()
	case name == "" || s.Standard.Knows(topic):
		return "ignored: " + err.Error()
	case len(payload) == 0:
		return name + ": ignored, an empty payload"
	}
	return name + ": ignored"
}
