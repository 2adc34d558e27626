// Package dialects has the dialects that come with devicetwin. Each has a folder: the
// dialect, samples with the pages and files that they follow, and a model that does something
// useful with its devices.
package dialects

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"devicetwin/source"
	"devicetwin/wire/dialect"
)

//go:embed */dialect.yaml */samples.yaml
var files embed.FS

// Names are those of the dialects, sorted.
func Names() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err) // it is part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Source is the file of a dialect, by its name or its path, with the name by which
// faults call it.
func Source(name string) (file string, src []byte, err error) {
	return read(name, "dialect.yaml", name)
}

// Samples is the file of samples of a dialect: of one in a file plug.yaml, that is
// plug.samples.yaml, in the same folder. What is not there is fs.ErrNotExist.
func Samples(name string) (file string, src []byte, err error) {
	return read(name, "samples.yaml", strings.TrimSuffix(name, filepath.Ext(name))+".samples.yaml")
}

func read(name, own, other string) (file string, src []byte, err error) {
	if slices.Contains(Names(), name) {
		file = path.Join(name, own)
		src, err = files.ReadFile(file)
		return file, src, err
	}
	if !strings.ContainsAny(name, `./\`) {
		hint := source.DidYouMean(name, Names())
		if hint != "" {
			hint = " (" + hint + ")"
		}
		return "", nil, fmt.Errorf("dialect %q: expected a file, or one of %s%s", name, strings.Join(Names(), ", "), hint)
	}
	src, err = os.ReadFile(other)
	return other, src, err
}

// Load reads a dialect by its name, or from a file.
func Load(name string) (*dialect.Dialect, error) {
	file, src, err := Source(name)
	if err != nil {
		return nil, err
	}
	return dialect.Load(file, src)
}
