package apitest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// schemathesisConfig has what is explained.
//
//go:embed schemathesis.toml
var schemathesisConfig []byte

// Schemathesis lets the program of that name generate requests from the document of the
// API at an address, with a token unless that is empty. It finds neither a server error
// nor anything that the document does not say; what is explained is in schemathesis.toml.
// Examples and boundary values come first, generated requests fill the rest of the time.
func Schemathesis(t *testing.T, program, address, token string, lasts time.Duration) {
	t.Helper()
	dir := t.TempDir() // it leaves its examples there
	config := filepath.Join(dir, "schemathesis.toml")
	if err := os.WriteFile(config, schemathesisConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--no-color", "--config-file", config, "run", address + "/openapi.json", "--max-time", fmt.Sprint(int(lasts.Seconds()))}
	if token != "" {
		args = append(args, "-H", "Authorization: Bearer "+token)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*lasts)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("schemathesis: %v\n%s", err, out)
	}
}
