package modelfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"devicetwin/devicefsm"
)

// The first has its name from its file.
var sources = map[string]string{
	"pump.yaml": "initial: on\nstates: {on: {}}\n",
	"tank.json": `{"model": "tank", "initial": "full", "states": {"full": {}}}`,
}

func keepAll(t *testing.T, c *Copies) map[string]string {
	t.Helper()
	hashes := map[string]string{}
	for file, src := range sources {
		m, err := devicefsm.Load(file, []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Keep(m.Hash(), "/somewhere/"+file, []byte(src)); err != nil {
			t.Fatal(err)
		}
		hashes[file] = m.Hash()
	}
	return hashes
}

func openCopies(t *testing.T, dir string) *Copies {
	t.Helper()
	c, err := OpenCopies(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCopiesAreReadAsTheyWere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "copies")
	hashes := keepAll(t, openCopies(t, dir))
	c := openCopies(t, dir)
	keepAll(t, c) // again: nothing changes
	models, err := c.All()
	if err != nil || len(models) != len(sources) {
		t.Fatalf("%d copies, %v", len(models), err)
	}
	for file, hash := range hashes {
		m, err := c.Load(hash)
		if err != nil || m.Hash() != hash || !strings.HasPrefix(file, m.Name()+".") {
			t.Errorf("%s: %v, %v", file, m, err)
		}
	}
	for _, hash := range []string{"", "..", "../x", strings.Repeat("0", 64)} {
		if _, err := c.Load(hash); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("hash %q: %v", hash, err)
		}
	}
}

// A copy that is damaged, or lies under another name, is not taken for the model; the
// others are. It is written again when its model is there.
func TestADamagedCopyIsNoModel(t *testing.T) {
	dir := t.TempDir()
	c := openCopies(t, dir)
	hashes := keepAll(t, c)
	hash := hashes["pump.yaml"]
	for name, damage := range map[string]string{
		"another model": "initial: off\nstates: {off: {}}\n",
		"cut":           "initial: on\nstates: {on",
		"empty":         "",
	} {
		if err := os.WriteFile(filepath.Join(dir, hash, "pump.yaml"), []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := c.Load(hash); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
		if models, err := c.All(); len(models) != 1 || err == nil || !strings.Contains(err.Error(), "pump.yaml") {
			t.Errorf("%s: %d copies, %v", name, len(models), err)
		}
		keepAll(t, c)
		if _, err := c.Load(hash); err != nil {
			t.Errorf("%s: after it was written again: %v", name, err)
		}
	}
}

// What a process left that was killed while it wrote is ignored.
func TestDraftsAreIgnored(t *testing.T) {
	dir := t.TempDir()
	c := openCopies(t, dir)
	hashes := keepAll(t, c)
	for _, draft := range []string{filepath.Join(hashes["pump.yaml"], ".new-1"), filepath.Join(strings.Repeat("0", 64), ".new-2"), "probe-3"} {
		file := filepath.Join(dir, draft)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("initial"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if models, err := c.All(); err != nil || len(models) != len(sources) {
		t.Errorf("%d copies, %v", len(models), err)
	}
}

// devicetwin-standalone made folders of the first half of the hash.
func TestOldFoldersAreRead(t *testing.T) {
	dir := t.TempDir()
	c := openCopies(t, dir)
	hash := keepAll(t, c)["pump.yaml"]
	if err := os.Rename(filepath.Join(dir, hash), filepath.Join(dir, hash[:oldNameLength])); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Load(hash); err != nil || m.Hash() != hash {
		t.Errorf("%v", err)
	}
	if models, err := c.All(); err != nil || len(models) != len(sources) {
		t.Errorf("%d copies, %v", len(models), err)
	}
}

func TestSeveralProcessesShareCopies(t *testing.T) {
	dir := t.TempDir()
	var writers sync.WaitGroup
	for range 8 {
		c := openCopies(t, dir)
		writers.Go(func() { keepAll(t, c) })
	}
	writers.Wait()
	if models, err := openCopies(t, dir).All(); err != nil || len(models) != len(sources) {
		t.Errorf("%d copies, %v", len(models), err)
	}
}

func TestAFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCopies(filepath.Join(file, "copies")); err == nil || !strings.Contains(err.Error(), "model copies") {
		t.Errorf("%v", err)
	}
}
