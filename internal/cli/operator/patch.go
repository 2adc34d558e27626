package operator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"devicetwin/api"
	"devicetwin/internal/text"
)

// patch is the merge patch of the file, with the values of the command line put in.
func (c *desiredSetCommand) patch(stdin io.Reader) (api.Object, error) {
	whole := map[string]any{}
	if c.File != "" {
		raw, err := readInput(c.File, stdin)
		if err != nil {
			return nil, err
		}
		decoder := json.NewDecoder(bytes.NewReader(text.WithoutMark(raw)))
		decoder.UseNumber()
		if err := decoder.Decode(&whole); err != nil || whole == nil || decoder.More() {
			return nil, fmt.Errorf("read %s: expected one JSON object", c.File)
		}
	} else if len(c.Values) == 0 {
		return nil, errors.New("expected key=value, or --file")
	}
	for _, pair := range c.Values {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("%s: expected key=value", pair)
		}
		if err := put(whole, strings.Split(key, "."), readValue(value)); err != nil {
			return nil, fmt.Errorf("%s: %w", pair, err)
		}
	}
	return api.ObjectOf(whole), nil
}

func readInput(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		raw, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return raw, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	return raw, nil
}

// put sets a value below a path.
func put(into map[string]any, path []string, value any) error {
	if path[0] == "" {
		return errors.New("a part of the key is empty")
	}
	if len(path) == 1 {
		into[path[0]] = value
		return nil
	}
	below, ok := into[path[0]]
	if !ok {
		below = map[string]any{}
		into[path[0]] = below
	}
	object, ok := below.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is given a value as well", path[0])
	}
	return put(object, path[1:], value)
}

// readValue reads a value as JSON, as it is written, or else as a string.
func readValue(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

// readObject reads a JSON object; nil of an empty text.
func readObject(name, text string) (api.Object, error) {
	if text == "" {
		return nil, nil
	}
	var object api.Object
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		return nil, fmt.Errorf("%s %s: expected a JSON object", name, text)
	}
	return object, nil
}
