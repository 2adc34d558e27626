package credentials

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// The files of versions before there was a list of devices are read, and written so
// that these versions can read them.
func TestFilesOfAnOlderVersion(t *testing.T) {
	dir := t.TempDir()
	hash := Hash("pump:1")
	path := filepath.Join(dir, hash[:2], hash+".json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	was := fmt.Sprintf(`[{"id":"c3","at":"2026-11-03T00:00:00Z","sha256":[%q]},{"id":"c2","at":"2026-11-02T00:00:00Z","sha256":[%q,%q]},{"id":"c1","at":"2026-11-01T00:00:00Z","sha256":[%q]}]`,
		Hash("three"), Hash("two"), Hash("two again"), Hash("one"))
	for name, content := range map[string]string{path: was, path + ".used": "c2"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store := wrapped{opened(t, dir), t}
	for r, err := range store.All(t.Context()) {
		if err != nil || r.Device != "" || len(r.Issued) != 2 {
			t.Errorf("listed %+v, %v: want two credentials of a device without a name", r, err)
		}
	}
	for _, try := range []struct {
		password string
		good     bool
	}{{"one", false}, {"two", true}, {"two again", true}} {
		if got := store.good("pump:1", try.password); got != try.good {
			t.Errorf("password %q taken: %v, want %v", try.password, got, try.good)
		}
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != was {
		t.Errorf("a check made %s of the credentials, error %v", raw, err)
	}
	for r, err := range store.All(t.Context()) {
		if err != nil || r.Device != "pump:1" {
			t.Errorf("listed %+v, %v: want the name of the device that logged in", r, err)
		}
	}
	if !store.good("pump:1", "three") {
		t.Error("the newest password was refused")
	}
	if raw, err := os.ReadFile(path + ".used"); err != nil || string(raw) != "c3" {
		t.Errorf("used is %q, error %v", raw, err)
	}
}

func TestNoSecretIsInTheFolder(t *testing.T) {
	dir := t.TempDir()
	store := wrapped{opened(t, dir), t}
	secrets := []string{store.issue("d", "c1"), store.issue("d", "c1"), store.issue("d", "c2")}
	store.good("d", secrets[0])
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
	if err != nil || files != 4 {
		t.Errorf("%d files, error %v: want a lock, and three files for the one device", files, err)
	}
}

// A list of ids names the devices of an older version, which can be exported then.
func TestAnImportNamesDevices(t *testing.T) {
	dir := t.TempDir()
	store := wrapped{opened(t, dir), t}
	secret := store.issue("d", "c1")
	if err := os.Remove(store.Store.(*folder).stem("d") + aboutSuffix); err != nil {
		t.Fatal(err)
	}
	outcomes, err := store.Import(t.Context(), []Record{{Device: "d"}})
	if err != nil || outcomes[0] != Updated || !store.good("d", secret) {
		t.Errorf("imported %v, error %v", outcomes, err)
	}
	for r, err := range store.All(t.Context()) {
		if err != nil || r.Device != "d" || len(r.Issued) != 1 {
			t.Errorf("listed %+v, %v", r, err)
		}
	}
}

// What can't be written ends no session: a full disk must not lock devices out.
func TestAUseThatCannotBeRecorded(t *testing.T) {
	dir := t.TempDir()
	store := wrapped{opened(t, dir), t}
	secret := store.issue("d", "c1")
	lock := filepath.Join(filepath.Dir(store.Store.(*folder).stem("d")), lockName)
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	if !store.good("d", secret) {
		t.Error("the device is locked out")
	}
	broken := store.Store.(*folder).stem("d") + issuedSuffix
	if err := os.WriteFile(broken, []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if good, err := store.Check(t.Context(), "d", secret); good || err == nil {
		t.Errorf("a file that can't be read let the device in: %v, %v", good, err)
	}
	if _, err := store.Issue(t.Context(), "d", "c2"); err == nil {
		t.Error("a file that can't be read was replaced")
	}
}

// The list of revocations does not grow without bound, and its numbers go on.
func TestTheListOfRevocationsIsBounded(t *testing.T) {
	l := revocations{dir: t.TempDir()}
	began := time.Now()
	for i := range 3 {
		if err := l.add([]device.ID{"a", "b"}, began.Add(time.Duration(i)*2*revocationsKept)); err != nil {
			t.Fatal(err)
		}
	}
	var content revocationsFile
	if err := readJSON(l.path(), &content); err != nil || len(content.Revoked) != 2 || content.last() != 6 {
		t.Errorf("%+v, error %v: want the last two, up to number 6", content, err)
	}
	many := make([]device.ID, revocationsMost+1)
	if err := l.add(many, began.Add(4*revocationsKept)); err != nil {
		t.Fatal(err)
	}
	content = revocationsFile{}
	if err := readJSON(l.path(), &content); err != nil || len(content.Revoked) != revocationsMost {
		t.Errorf("%d, error %v: want %d", len(content.Revoked), err, revocationsMost)
	}
}
