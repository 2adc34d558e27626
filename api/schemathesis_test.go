package api_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/device"
)

// schemathesisTime bounds one run: examples and boundary values come first, generated
// requests fill the rest.
const schemathesisTime = 25 * time.Second

// Schemathesis generates requests from the document of a running API with devices, and
// finds neither a server error nor anything that the document does not say. What is
// explained is in testdata/schemathesis.toml.
func TestSchemathesis(t *testing.T) {
	program, err := filepath.Abs("../.servers/schemathesis/st")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI_SERVERS") != "" {
			t.Fatal("schemathesis is not installed: run make servers ONLY=schemathesis")
		}
		t.Skip("schemathesis is not installed: run make servers ONLY=schemathesis")
	}
	t.Run("without tokens", func(t *testing.T) { trySchema(t, program, start(t)) })
	t.Run("with tokens", func(t *testing.T) {
		trySchema(t, program, start(t, withKeys), "-H", "Authorization: Bearer a")
	})
}

func trySchema(t *testing.T, program string, s *service, flags ...string) {
	for i := range 40 { // some of them are deleted
		s.fleet.Put(api.Device{ID: device.ID(fmt.Sprint("fan-", i)), Model: "fan", State: "idle", Connection: device.Online})
	}
	config, err := filepath.Abs("testdata/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"--no-color", "--config-file", config, "run", s.URL + "/openapi.json", "--max-time", fmt.Sprint(int(schemathesisTime.Seconds())),
	}, flags...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*schemathesisTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir() // it leaves its examples there
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("schemathesis: %v\n%s", err, out)
	}
	// It changed devices that are there, and not only what it had made up.
	if n := len(s.fleet.Calls()); n < 20 {
		t.Errorf("only %d changes reached a device", n)
	}
	if log := s.log.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the service logged\n%s", log)
	}
}
