package codec

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/recordlog"
)

var _ recordlog.Keys = (*Codec)(nil)

const logged = `{"temperature": 61.5}`

// logIn appends a record to the log in a folder.
func logIn(t *testing.T, dir string, c *Codec) {
	t.Helper()
	l, err := recordlog.Open(recordlog.Config{Dir: dir, MaxBytes: recordlog.MinBytes, Keys: c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(recordlog.Record{Kind: 1, At: time.UnixMilli(1), Data: []byte(logged)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// readLog reads all of the log in a folder.
func readLog(t *testing.T, dir string, keys recordlog.Keys) (data []string, damaged uint64, err error) {
	t.Helper()
	r, err := recordlog.OpenReader(dir, keys)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		e, ok, err := r.TryNext()
		if err != nil || !ok {
			return data, r.Damaged(), err
		}
		data = append(data, string(e.Data))
	}
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("segments %q, %v", files, err)
	}
	return files
}

func TestALogIsEncrypted(t *testing.T) {
	dir, one := t.TempDir(), newLine(t, "k1")
	logIn(t, dir, open(t, one))
	got, damaged, err := readLog(t, dir, open(t, one))
	if err != nil || damaged > 0 || len(got) != 1 || got[0] != logged {
		t.Errorf("read %q, %d places damaged, %v", got, damaged, err)
	}
	for _, file := range segments(t, dir) {
		raw, err := os.ReadFile(file)
		if err != nil || bytes.Contains(raw, []byte("temperature")) {
			t.Errorf("%s is in clear, or error %v", file, err)
		}
	}
	// Another file may have another key of the same name.
	if got, damaged, err := readLog(t, dir, open(t, newLine(t, "k1"))); len(got) > 0 || damaged == 0 || err != nil {
		t.Errorf("with another key of the same id: %q, %d places damaged, %v", got, damaged, err)
	}
	for name, keys := range map[string]recordlog.Keys{"no keys": nil, "another key": open(t, newLine(t, "k2"))} {
		if got, _, err := readLog(t, dir, keys); err == nil || !strings.Contains(err.Error(), `"k1"`) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// The first key encrypts, all decrypt.
func TestKeysOfALogAreRotated(t *testing.T) {
	dir, one, two := t.TempDir(), newLine(t, "k1"), newLine(t, "k2")
	logIn(t, dir, open(t, one))
	logIn(t, dir, open(t, two, one))
	if got, damaged, err := readLog(t, dir, open(t, two, one)); err != nil || damaged > 0 || len(got) != 2 {
		t.Errorf("with both keys: %q, %d places damaged, %v", got, damaged, err)
	}
	files := segments(t, dir)
	if len(files) != 2 {
		t.Fatalf("segments %q; expected one of each key", files)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if got, damaged, err := readLog(t, dir, open(t, two)); err != nil || damaged > 0 || len(got) != 1 {
		t.Errorf("without what the old key had encrypted: %q, %d places damaged, %v", got, damaged, err)
	}
}

func TestALogThatWasTamperedWith(t *testing.T) {
	dir, one := t.TempDir(), newLine(t, "k1")
	c := open(t, one)
	logIn(t, dir, c)
	file := segments(t, dir)[0]
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := range raw {
		changed := bytes.Clone(raw)
		changed[at] ^= 1
		if err := os.WriteFile(file, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _, err := readLog(t, dir, c); len(got) > 0 && err == nil && got[0] != logged {
			t.Fatalf("byte %d changed: read %q", at, got)
		}
	}
}

// Keys for logs and for payloads differ, also with the same salt.
func TestKeysHaveOnePurpose(t *testing.T) {
	c, salt := open(t, newLine(t, "k1")), make([]byte, saltBytes)
	a, err := c.block("k1", salt, purpose)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.block("k1", salt, purposeLog)
	if err != nil {
		t.Fatal(err)
	}
	out := [2][16]byte{}
	a.Encrypt(out[0][:], make([]byte, 16))
	b.Encrypt(out[1][:], make([]byte, 16))
	if out[0] == out[1] {
		t.Error("they are the same")
	}
	aead, err := c.Derive("k1", salt)
	if err != nil || aead.NonceSize() != 12 || aead.Overhead() != 16 {
		t.Errorf("cipher %v, %v", aead, err)
	}
}
