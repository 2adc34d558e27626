package admin

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"devicetwin/internal/cli"
	"devicetwin/internal/credentials"
)

func TestIssueCredentials(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "credentials")
	status, out, stderr := run("credentials", "issue", "pump-1", "--worker-credentials", dir)
	var issued struct{ ID, Username, Password string }
	if err := json.Unmarshal([]byte(out), &issued); status != cli.ExitOK || err != nil {
		t.Fatalf("exit status %d, %v, %s", status, err, stderr)
	}
	store, err := credentials.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	good, err := store.Check(t.Context(), "pump-1", issued.Password)
	if issued.Username != "pump-1" || issued.ID == "" || !good || err != nil {
		t.Errorf("issued %+v, which is not good, error %v", issued, err)
	}
	if status, _, _ := run("credentials", "issue", "pump 1", "--worker-credentials", dir); status != cli.ExitUsage {
		t.Errorf("bad id: exit status %d", status)
	}
}
