package modelfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/internal/durable"
)

// Copies is a folder with a copy of each model that ever ran, as
// DIR/{hash}/{name of the file}. A copy is written whole or not at all, is named by the
// hash of its model, and is checked by it when it is read, so any number of processes
// may use one folder. (The name of its file stays, because it can be that of the model.)
type Copies struct{ dir string }

// OpenCopies makes the folder, if need be, and finds out whether it can be written.
func OpenCopies(dir string) (*Copies, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of model copies: %w", err)
	}
	probe, err := os.CreateTemp(dir, "probe-*")
	if err != nil {
		return nil, fmt.Errorf("folder of model copies: %w", err)
	}
	return &Copies{dir}, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// oldNameLength is that of the folders that devicetwin-standalone once made.
const oldNameLength = 16

// Keep writes the copy of a model, unless a good one is there. file is the name that
// the model was read from, and src what was read.
func (c *Copies) Keep(hash, file string, src []byte) error {
	if err := c.keep(hash, file, src); err != nil {
		return fmt.Errorf("keep a copy of model %s: %w", file, err)
	}
	return nil
}

func (c *Copies) keep(hash, file string, src []byte) error {
	folder := filepath.Join(c.dir, hash)
	to := filepath.Join(folder, filepath.Base(file))
	if _, err := readCopy(to, hash); err == nil {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	// It has to survive what ends the process now: nobody else has the old model.
	if err := durable.Replace(to, src, 0o644); err != nil {
		return err
	}
	return durable.SyncDir(c.dir)
}

// indexName is the file of KeepIndex. No copy is called so: those are in folders.
const indexName = "registry.json"

// KeepIndex writes what was last known of the registry of models.
func (c *Copies) KeepIndex(raw []byte) error {
	if err := durable.Replace(filepath.Join(c.dir, indexName), raw, 0o644); err != nil {
		return fmt.Errorf("keep the index of the registry of models: %w", err)
	}
	return nil
}

// Index reads what KeepIndex wrote. Without that, its error is fs.ErrNotExist.
func (c *Copies) Index() ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(c.dir, indexName))
	if err != nil {
		return nil, fmt.Errorf("read the index of the registry of models: %w", err)
	}
	return raw, nil
}

// Load reads the copy of a model. Without one, its error is fs.ErrNotExist.
func (c *Copies) Load(hash string) (*devicefsm.Model, error) {
	if hash == "" || strings.ContainsAny(hash, `./\`) {
		return nil, fs.ErrNotExist
	}
	m, err := readFolder(filepath.Join(c.dir, hash), hash)
	if errors.Is(err, fs.ErrNotExist) && len(hash) > oldNameLength {
		return readFolder(filepath.Join(c.dir, hash[:oldNameLength]), hash)
	}
	return m, err
}

// CopiesIn are those of a folder that is only read. It may not be there: then it has none.
func CopiesIn(dir string) *Copies { return &Copies{dir} }

// File reads the copy of a model with its source. Without one, its error is fs.ErrNotExist.
func (c *Copies) File(hash string) (File, error) {
	if hash == "" || strings.ContainsAny(hash, `./\`) {
		return File{}, fs.ErrNotExist
	}
	folder := filepath.Join(c.dir, hash)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return File{}, fmt.Errorf("read model copies: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || durable.Draft(e.Name()) {
			continue
		}
		f, readErr := Read(filepath.Join(folder, e.Name()))
		if readErr == nil && f.Model.Hash() == hash {
			return f, nil
		}
		err = errors.Join(err, readErr)
	}
	if err == nil {
		err = fs.ErrNotExist
	}
	return File{}, err
}

// All reads all copies. It goes on after one that cannot be read, and returns the
// errors of those joined.
func (c *Copies) All() ([]*devicefsm.Model, error) {
	folders, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("read model copies: %w", err)
	}
	var models []*devicefsm.Model
	var faults []error
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		m, err := readFolder(filepath.Join(c.dir, f.Name()), f.Name())
		switch {
		case err == nil:
			models = append(models, m)
		case !errors.Is(err, fs.ErrNotExist): // a folder without a copy: it was being written
			faults = append(faults, err)
		}
	}
	return models, errors.Join(faults...)
}

// readFolder reads the first good copy of a folder.
func readFolder(folder, hash string) (*devicefsm.Model, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read model copies: %w", err)
	}
	var faults []error
	for _, e := range entries {
		if e.IsDir() || durable.Draft(e.Name()) {
			continue
		}
		m, err := readCopy(filepath.Join(folder, e.Name()), hash)
		if err == nil {
			return m, nil
		}
		faults = append(faults, err)
	}
	if len(faults) == 0 {
		return nil, fs.ErrNotExist
	}
	return nil, errors.Join(faults...)
}

// readCopy reads a copy of the model whose hash is hash, or begins with it.
func readCopy(file, hash string) (*devicefsm.Model, error) {
	m, err := Load(file)
	if err != nil {
		return nil, fmt.Errorf("read the copy of a model: %w", err)
	}
	if !strings.HasPrefix(m.Hash(), hash) {
		return nil, fmt.Errorf("the copy %s is of another model: it has the hash %s", file, m.Hash())
	}
	return m, nil
}
