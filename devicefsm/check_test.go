package devicefsm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/internal/testfile"
	"devicetwin/source"
)

// TestCheck compares the faults of models that load but cannot be intended
// with the golden files.
func TestCheck(t *testing.T) {
	files, err := filepath.Glob("testdata/check/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d models, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			loadFile(t, file)
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Check(filepath.Base(file), src)
			var faults source.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("no faults: %v", err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", faults.Pretty())
		})
	}
}

func TestCheckFindsNothingWrongWithTheExamples(t *testing.T) {
	for _, file := range append(testfile.Models(t, "../models"), "testdata/graph/parallel_root.yaml") {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Check(file, src)
		if err != nil {
			t.Errorf("%s:\n%v", file, err)
			continue
		}
		if m.Hash() != loadFile(t, file).Hash() {
			t.Errorf("%s: Check and Load give two models", file)
		}
	}
}

func TestCheckToo(t *testing.T) {
	if _, err := Check("x.yaml", []byte("initial: b\nstates: {a: {}}")); err == nil {
		t.Error("a model that does not load is checked")
	}
}

func FuzzCheck(f *testing.F) {
	for _, pattern := range []string{"testdata/check/*.yaml", "testdata/graph/*.yaml", "../models/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := Check("fuzz.yaml", src)
		if err != nil {
			_ = err.Error()
			return
		}
		again, err := Check("fuzz.yaml", src)
		if err != nil || m.Mermaid() != again.Mermaid() || m.DOT() != again.DOT() {
			t.Fatalf("the second time it is another: %v", err)
		}
	})
}
