package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"devicetwin/service"
)

// keepModel keeps a copy of the model that new devices start with, and adds the
// files of all copies to the models. Devices stay with the model that they have:
// after its file was changed, the worker needs the old one as well.
//
// A copy lies in a folder of its own, for the name of a file can be that of the
// model.
func keepModel(c service.ModelConfig, dataDir string) (service.ModelConfig, error) {
	folder := filepath.Join(dataDir, "models")
	if c.Model != "" {
		if err := keepCopy(c.Model, folder); err != nil {
			return c, err
		}
	}
	kept, err := keptModels(folder)
	c.Models = append(slices.Clip(c.Models), kept...)
	return c, err
}

func keepCopy(model, folder string) error {
	models, err := service.ModelConfig{Model: model}.LoadModels()
	if err != nil {
		return err
	}
	file := filepath.Join(folder, models[0].Hash()[:16], filepath.Base(model))
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := copyWhole(file, model); err != nil {
			return fmt.Errorf("keep model %s: %w", model, err)
		}
	}
	return nil
}

// keptModels lists the copies; what has another extension is a draft.
func keptModels(folder string) (files []string, err error) {
	copies, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list models: %w", err)
	}
	for _, c := range copies {
		entries, err := os.ReadDir(filepath.Join(folder, c.Name()))
		if err != nil {
			return nil, fmt.Errorf("list models: %w", err)
		}
		for _, e := range entries {
			if filepath.Ext(e.Name()) != draftExtension {
				files = append(files, filepath.Join(folder, c.Name(), e.Name()))
			}
		}
	}
	return files, nil
}

const draftExtension = ".new"

// copyWhole makes a file that is whole or not there.
func copyWhole(to, from string) error {
	src, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	draft := to + draftExtension
	if err := os.WriteFile(draft, src, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, to)
}
