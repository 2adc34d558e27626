package workflows

import (
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCredentialStore(t *testing.T) {
	dir := t.TempDir()
	store, err := OpenCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(credential string) string {
		t.Helper()
		secret, err := store.Issue(t.Context(), "pump:1", credential)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	first, again := issue("c1"), issue("c1")
	if raw, err := hex.DecodeString(first); err != nil || len(raw) != 32 || first == again {
		t.Fatalf("secrets %q and %q: want two different ones of 256 bits", first, again)
	}
	second := issue("c2")

	// Another process, as after a restart, knows the same.
	other, err := OpenCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{first, again, second} {
		if !other.Check("pump:1", secret) {
			t.Errorf("secret %s was refused", secret)
		}
	}
	for _, wrong := range []string{"", "x", strings.ToUpper(first)} {
		if other.Check("pump:1", wrong) {
			t.Errorf("password %q was taken", wrong)
		}
	}
	if other.Check("pump:2", first) {
		t.Error("another device's secret was taken")
	}

	issue("c3")
	if store.Check("pump:1", first) {
		t.Error("a secret two credentials ago is still good")
	}
	noSecretsIn(t, dir, first, again, second)
}

func noSecretsIn(t *testing.T, dir string, secrets ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		for _, s := range secrets {
			if strings.Contains(string(raw), s) {
				t.Errorf("%s holds a secret in the clear", path)
			}
		}
		return err
	})
	if err != nil || files != 1 {
		t.Errorf("%d files, error %v: want one file for the one device", files, err)
	}
}

func TestCredentialsOfOneIDAreBounded(t *testing.T) {
	store, err := OpenCredentials(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var last string
	for range 3 * keptSecrets {
		if last, err = store.Issue(t.Context(), "d", "c"); err != nil {
			t.Fatal(err)
		}
	}
	list, err := store.read("d")
	if err != nil || len(list) != 1 || len(list[0].Hashes) != keptSecrets {
		t.Errorf("kept %+v, error %v: want one credential with %d hashes", list, err, keptSecrets)
	}
	if !store.Check("d", last) {
		t.Error("the newest secret was refused")
	}
}
