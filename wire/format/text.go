package format

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"devicetwin/internal/text"
)

// document is what was written as text: valid UTF-8, without a byte order mark.
func document(payload []byte) ([]byte, error) {
	if !utf8.Valid(payload) {
		if found := text.MarkOfUTF16(payload); found != "" {
			return nil, fmt.Errorf("not valid UTF-8: %s", found)
		}
		return nil, faultAt(byteAt(invalidAt(payload)), "not valid UTF-8")
	}
	return text.WithoutMark(payload), nil
}

// invalidAt is the place of the first byte that is not UTF-8.
func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// scalar is the one word or line of a payload, without the spaces, line breaks and
// zero bytes around it, which C programs send along.
func scalar(payload []byte) (string, error) {
	payload, err := document(payload)
	if err != nil {
		return "", err
	}
	return string(bytes.Trim(payload, " \t\r\n\x00")), nil
}

// textCodec is a payload that is one string.
type textCodec struct{ numbers bool }

func (c textCodec) decode(payload []byte) (any, error) {
	s, err := scalar(payload)
	if err != nil {
		return nil, err
	}
	if c.numbers {
		return asNumbers(s), nil
	}
	return s, nil
}

func (c textCodec) encode(v any) ([]byte, error) {
	s, err := word(v)
	return []byte(s), err
}

// word is a scalar without quotes.
func word(v any) (string, error) {
	switch v := v.(type) {
	case bool:
		if v {
			return "true", nil
		}
		return "false", nil
	case float64:
		return printNumber(v), nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("expected a string, a number or a boolean, found %s", kindOf(v))
}

// numberCodec is a payload that is one decimal number.
type numberCodec struct{}

func (numberCodec) decode(payload []byte) (any, error) {
	s, err := scalar(payload)
	if err != nil {
		return nil, err
	}
	if s == "" {
		return nil, errors.New("empty: expected a number")
	}
	v, err := parseDecimal(s)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text.Clip(s, 40), err)
	}
	return v, nil
}

func (numberCodec) encode(v any) ([]byte, error) {
	f, ok := v.(float64)
	if !ok {
		return nil, fmt.Errorf("expected a number, found %s", kindOf(v))
	}
	return []byte(printNumber(f)), nil
}
