// Package modelfile finds and reads model files that people name: files and
// folders of them.
package modelfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/source"
)

// List returns the model files that the paths name, in their order. A folder
// stands for the files in it that Is accepts.
func List(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("read models: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("read models: %w", err)
		}
		for _, e := range entries {
			if Is(e.Name()) {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
	}
	return files, nil
}

// Is reports whether a file's name is that of a model: *.yaml, *.yml or *.json,
// without a second extension, as pump.scenario.yaml and model.schema.json have.
func Is(name string) bool {
	stem, extension := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
	switch extension {
	case ".yaml", ".yml", ".json":
		return filepath.Ext(stem) == ""
	}
	return false
}

// Load reads one model. Faults of the model are source.Faults.
func Load(file string) (*devicefsm.Model, error) {
	f, err := Read(file)
	return f.Model, err
}

// File is a model with what it was read from.
type File struct {
	Name   string
	Source []byte
	Model  *devicefsm.Model
}

// Read is Load, with the source.
func Read(file string) (File, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return File{}, fmt.Errorf("read model: %w", err)
	}
	m, err := devicefsm.Load(file, src)
	return File{file, src, m}, err
}

// Each calls read for each file. Its errors are collected: those of all files
// are reported together, as source.Faults.
func Each[T any](files []string, read func(file string) (T, error)) ([]T, error) {
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
		return nil, faults
	}
	return all, nil
}
