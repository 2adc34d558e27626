package admin

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"devicetwin/api"
	"devicetwin/internal/cli"
	"devicetwin/internal/testfile"
	"devicetwin/service"
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

func TestTokenNew(t *testing.T) {
	status, stdout, _ := run("token", "new", "ops", "--scope", "read,operate")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if status != cli.ExitOK || len(lines) != 2 {
		t.Fatalf("status %d\n%s", status, stdout)
	}
	tokens, err := api.OpenTokens(testfile.Write(t, "tokens", lines[1]+"\n"), slog.New(slog.DiscardHandler))
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
