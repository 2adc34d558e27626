package app

import (
	"errors"
	"fmt"
	"os"

	"devicetwin/devicefsm"
	"devicetwin/internal/source"
)

// LoadModels reads the model files that the configuration names; the first is
// the one that new devices start with. All faults of all files come at once.
func (c ModelConfig) LoadModels() ([]*devicefsm.Model, error) {
	files, err := c.modelFiles()
	if err != nil {
		return nil, err
	}
	var models []*devicefsm.Model
	var faults source.Faults
	for _, file := range files {
		model, err := loadModel(file)
		var found source.Faults
		switch {
		case errors.As(err, &found):
			faults = append(faults, found...)
		case err != nil:
			faults = append(faults, source.Fault{File: file, Message: err.Error()})
		default:
			models = append(models, model)
		}
	}
	if len(faults) > 0 {
		return nil, usageError{faults}
	}
	return models, nil
}

func loadModel(file string) (*devicefsm.Model, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	return devicefsm.Load(file, src)
}
