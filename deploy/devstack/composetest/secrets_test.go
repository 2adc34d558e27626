package composetest

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// makeSecrets runs the script of the first start, as another user than root
// would: it then leaves the owners alone.
func makeSecrets(t *testing.T, dir string) map[string]string {
	t.Helper()
	if out, err := exec.Command("sh", filepath.Join(deployDir, "secrets", "make.sh"), dir).CombinedOutput(); err != nil {
		t.Fatalf("make.sh: %v\n%s", err, out)
	}
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestSecretsOfTheFirstStart(t *testing.T) {
	dir := t.TempDir()
	for _, v := range load(t).Services["secrets"].Volumes {
		if folder, ok := strings.CutPrefix(v.Target, "/secrets/"); ok {
			if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := makeSecrets(t, dir)
	seen := map[string]bool{}
	for name, secret := range first {
		if name == "mqtt/accounts" || name == "api/tokens" {
			continue
		}
		if raw, err := hex.DecodeString(secret); err != nil || len(raw) != 32 || seen[secret] {
			t.Errorf("%s holds %q: expected 256 bits of its own", name, secret)
		}
		seen[secret] = true
	}
	for _, service := range []string{"bridge", "worker", "fleet"} {
		sum := sha256.Sum256([]byte(first[service+"/mqtt-password"]))
		if line := "devicetwin." + service + ":" + hex.EncodeToString(sum[:]) + "\n"; !strings.Contains(first["mqtt/accounts"], line) {
			t.Errorf("the accounts lack %q:\n%s", line, first["mqtt/accounts"])
		}
	}
	sum := sha256.Sum256([]byte(first["operator/api-token"]))
	if want := "operator sha256:" + hex.EncodeToString(sum[:]) + " admin\n"; first["api/tokens"] != want {
		t.Errorf("the API lets in %q, not %q", first["api/tokens"], want)
	}
	if again := makeSecrets(t, dir); !maps.Equal(first, again) {
		t.Error("the second start changed secrets")
	}

	// Each secret file that a service names is one that is made, or InfluxDB's.
	for name, s := range load(t).Services {
		for key, value := range s.Environment {
			if value == nil || !strings.HasSuffix(key, "_FILE") {
				continue
			}
			file, ok := strings.CutPrefix(*value, "/run/secrets/")
			if _, made := first[file]; !ok || !made && file != "influx-write/token" {
				t.Errorf("%s: %s names %s, which nothing makes", name, key, *value)
			}
		}
	}
}
