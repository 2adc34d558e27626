package app

import (
	"errors"
	"fmt"
	"os"

	"devicetwin/devicefsm"
	"devicetwin/source"
)

// LoadModels reads the model files that the configuration names; the first is
// the one that new devices start with. All faults of all files come at once.
func (c ModelConfig) LoadModels() ([]*devicefsm.Model, error) {
	files, err := c.modelFiles()
	if err != nil {
		return nil, err
	}
	return readAll(files, loadModel)
}

// readAll reads each file. All faults of all files come at once, as a usage
// error.
func readAll[T any](files []string, read func(file string) (T, error)) ([]T, error) {
	var all []T
	var faults source.Faults
	for _, file := range files {
		one, err := read(file)
		var found source.Faults
		switch {
		case errors.As(err, &found):
			faults = append(faults, found...)
		case err != nil:
			faults = append(faults, source.Fault{File: file, Message: err.Error()})
		default:
			all = append(all, one)
		}
	}
	if len(faults) > 0 {
		return nil, usageError{faults}
	}
	return all, nil
}

func loadModel(file string) (*devicefsm.Model, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	return devicefsm.Load(file, src)
}
