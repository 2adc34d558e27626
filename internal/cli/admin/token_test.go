package admin

import (
	"bytes"
	"context"
	"devicetwin/api"
	"devicetwin/internal/cli"
	"devicetwin/service"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func grammar() *Commands {
	made := New(service.DefaultConfig())
	return &made
}

// run executes the command line of these commands.
func run(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = cli.Execute(context.Background(), grammar(), "devicetwin", "", args, &out, &err)
	return status, out.String(), err.String()
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTokenNew(t *testing.T) {
	status, stdout, _ := run("token", "new", "ops", "--scope", "read,operate")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if status != cli.ExitOK || len(lines) != 2 {
		t.Fatalf("status %d\n%s", status, stdout)
	}
	tokens, err := api.OpenTokens(write(t, "tokens", lines[1]+"\n"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if caller, err := tokens.Authenticate(t.Context(), lines[0]); err != nil || caller.Name != "ops" || !caller.May(api.ScopeOperate) {
		t.Errorf("%+v, %v", caller, err)
	}
	for _, wrong := range [][]string{{"ops"}, {"ops", "--scope=write"}, {"a b", "--scope=read"}} {
		if status, _, _ := run(append([]string{"token", "new"}, wrong...)...); status != cli.ExitUsage {
			t.Errorf("%v: status %d", wrong, status)
		}
	}
}
