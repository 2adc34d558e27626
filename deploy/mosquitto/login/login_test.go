package login

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/internal/credentials"
)

func hash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhoMayLogIn(t *testing.T) {
	dir := t.TempDir()
	store, err := credentials.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := store.Issue(t.Context(), "pump-1", "c1")
	if err != nil {
		t.Fatal(err)
	}
	taken, err := store.Issue(t.Context(), "devicetwin-bridge-a", "c1")
	if err != nil {
		t.Fatal(err)
	}
	services := writeFile(t, "# accounts\n\ndevicetwin.bridge:"+hash("open")+"\nother.one:"+strings.ToUpper(hash("sesame"))+"\n")
	checker, err := New(Settings{{"credentials", dir}, {"services", services}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, client, username, password string
		good                             bool
	}{
		{"device", "pump-1", "pump-1", secret, true},
		{"device with a second connection", "pump-1.watch", "pump-1", secret, true},
		{"wrong password", "pump-1", "pump-1", "guess", false},
		{"unknown device", "pump-2", "pump-2", secret, false},
		{"session of another device", "pump-2", "pump-1", secret, false},
		{"session of a longer name", "pump-12", "pump-1", secret, false},
		{"session of a bridge", "bridge", "pump-1", secret, false},
		{"device named like a bridge's session", "devicetwin-bridge-a", "devicetwin-bridge-a", taken, false},
		{"chosen by the broker", "", "pump-1", secret, false},
		{"service", "bridge", "devicetwin.bridge", "open", true},
		{"service, hash in capitals", "x", "other.one", "sesame", true},
		{"service, wrong password", "bridge", "devicetwin.bridge", "sesame", false},
		{"service, its hash as password", "bridge", "devicetwin.bridge", hash("open"), false},
		{"unknown service", "bridge", "devicetwin.none", "", false},
		{"device that looks like a service", "pump.1", "pump.1", secret, false},
	} {
		if err := checker.Check(tt.client, tt.username, tt.password); (err == nil) != tt.good {
			t.Errorf("%s: got error %v", tt.name, err)
		} else if err != nil && tt.password != "" && strings.Contains(err.Error(), tt.password) {
			t.Errorf("%s: the error contains the password: %v", tt.name, err)
		}
	}

	// Accounts change while the broker runs.
	if err := os.WriteFile(services, []byte("devicetwin.bridge:"+hash("new")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if checker.Check("b", "devicetwin.bridge", "open") == nil || checker.Check("b", "devicetwin.bridge", "new") != nil {
		t.Error("the old password of an account is good, or the new one is not")
	}
	if err := os.Remove(services); err != nil {
		t.Fatal(err)
	}
	if checker.Check("b", "devicetwin.bridge", "new") == nil {
		t.Error("an account was taken without its file")
	}
}

func TestFaultsOfTheSettings(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name     string
		settings Settings
		says     string
	}{
		{"no folder", nil, "plugin_opt_credentials is missing"},
		{"folder that is not there", Settings{{"credentials", filepath.Join(dir, "none")}}, "none"},
		{"unknown option", Settings{{"credentials", dir}, {"files", "x"}}, "plugin_opt_files: no such option"},
		{"no accounts", Settings{{"credentials", dir}, {"services", filepath.Join(dir, "none")}}, "read accounts"},
		{"no hash", Settings{{"credentials", dir}, {"services", writeFile(t, "a.b:secret\n")}}, ":1: expected NAME:SHA256"},
		{"name of a device", Settings{{"credentials", dir}, {"services", writeFile(t, "\nbridge:"+hash("x")+"\n")}}, ":2: expected"},
	} {
		if _, err := New(tt.settings); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, and not %q", tt.name, err, tt.says)
		}
	}
	if _, err := New(Settings{{"credentials", dir}}); err != nil {
		t.Errorf("without services: %v", err)
	}
}
