package credentials

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStore(t *testing.T) {
	dir := t.TempDir()
	store, err := Open(dir)
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
	second, third := issue("c2"), issue("c3")

	// Another process, as after a restart, knows the same; and the device may
	// hold any of them, until it has used a newer one.
	other, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{first, again, second} {
		if !other.Check("pump:1", secret) {
			t.Errorf("secret %s was refused", secret)
		}
	}
	if other.Check("pump:1", first) {
		t.Error("a secret was taken that is older than the one used last")
	}
	issue("c4")
	for _, try := range []struct {
		secret string
		good   bool
	}{{second, true}, {third, true}, {third, true}, {second, false}} {
		if got := store.Check("pump:1", try.secret); got != try.good {
			t.Errorf("secret %s taken: %v, want %v", try.secret, got, try.good)
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

	noSecretsIn(t, dir, first, again, second, third)
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
	if err != nil || files != 2 {
		t.Errorf("%d files, error %v: want two files for the one device", files, err)
	}
}

// A device that never uses what it is given can log in with what it has.
func TestADeviceThatIgnoresCommandsIsNotLockedOut(t *testing.T) {
	store, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	held, err := store.Issue(t.Context(), "d", "held")
	if err != nil || !store.Check("d", held) {
		t.Fatalf("the first secret was refused, error %v", err)
	}
	for i := range 2 * keptCredentials {
		if _, err := store.Issue(t.Context(), "d", fmt.Sprint("ignored-", i)); err != nil {
			t.Fatal(err)
		}
	}
	if !store.Check("d", held) {
		t.Error("the device is locked out")
	}
}

func TestCredentialsOfOneIDAreBounded(t *testing.T) {
	store, err := Open(t.TempDir())
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
