package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/api/client"
	"devicetwin/device"
	"devicetwin/internal/cli"
	"devicetwin/internal/testfile"
)

var update = flag.Bool("update", false, "rewrite testdata")

// grammar is the command line of these commands.
type grammar struct {
	Commands
	Model ModelCommands `cmd:""`
}

// run executes the command line of these commands.
func run(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = cli.Execute(context.Background(), new(grammar), "devicetwin", "", args, &out, &err)
	return status, out.String(), err.String()
}

// serveFleet serves the API of a fleet in memory, and points the commands there.
func serveFleet(t *testing.T, change ...func(*api.Options)) (*apitest.Backend, *api.Server) {
	t.Helper()
	fleet := apitest.Fleet()
	o := api.DefaultOptions()
	o.Models = apitest.FleetModels()
	o.Backend, o.Log, o.Audit = fleet, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler)
	for _, c := range change {
		c(&o)
	}
	server, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	http := httptest.NewServer(server)
	t.Cleanup(func() { server.Close(); http.Close() })
	t.Setenv("DEVICETWIN_API_URL", http.URL)
	return fleet, server
}

// What the commands print, for people and for programs, and how they end.
func TestOperatorsCommands(t *testing.T) {
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(modelFiles(t))
	patch := testfile.Write(t, "patch.json", "\ufeff"+`{"net": {"ip": "10.0.0.7"}, "big": 12345678901234567890}`)
	plan := testfile.Write(t, "plan.json", `{"plan": "pump", "from": "`+apitest.PumpHash+`", "to": "`+apitest.HotPumpHash+`", "states": {"online": "running", "maintenance": "running"}}`)
	serveFleet(t)
	began, migration, hidden := regexp.MustCompile(`migration ([0-9a-f]{20})`), "", []string{patch, "PATCH", plan, "PLAN"}
	var got strings.Builder
	for _, line := range []string{
		"devices list",
		"devices list model:pump connection:offline",
		"devices list id:none",
		"devices list --limit 1",
		"devices list -o json id:pump-2",
		"devices list stat:x id:",
		"devices list NOT ( model:pump connection:offline ) AND id:pump-*",
		"devices list state:online or state:ok",
		"devices count",
		"devices count model:pump OR state:ok",
		"devices count model:pump@1",
		"devices count NOT model:pump@2",
		"devices list model:pump@9",
		"devices list model:tank@1",
		"devices list model:pump@1*",
		"devices count tag.hall:3 -o json",
		"devices count firmware>1",
		"devices get pump-1",
		"devices get nobody",
		"devices why pump-1",
		"devices why pump-1 --limit 1 -o json",
		"desired set pump-1 interval=20 net.dns.0=1.1.1.1 name=long#name old=null",
		"desired set pump-1 --version 6 interval=5",
		"desired set pump-1 --file PATCH net.port=80 -o json",
		"desired set pump-1",
		"desired set pump-1 a.b=1 a.b.c=2",
		"command send pump-1 reboot --data {\"delay\":10} --ttl 1h",
		"command send pump-1 reset --max-deliveries 2",
		"command send pump-1 reset --max-deliveries 101",
		"command send pump-1 reboot --ttl 1d12h",
		"command send pump-1 reboot --ttl 31d",
		"command send pump-1 reboot --ttl soon",
		"command send pump-1 reboot --ttl 0s",
		"command send pump-1 reboot --max-deliveries 0",
		"desired set pump-1 interval=7 --within 0",
		"desired set pump-1 interval=7 --version 0",
		"desired set pump-1 interval=7 --within 30d",
		"command send pump-1 reboot --data [1]",
		"command send pump-1 unheard-of",
		"events send pump-1 maintenance",
		"events send pump-1 device.silent",
		"events send pump-1 unheard-of",
		"devices get pump-1",
		"devices migrate --plan PLAN --dry-run",
		"devices migrate --plan PLAN --dry-run site:nowhere -o json",
		"devices migrate --plan PLAN --rate fast",
		"devices migrate --plan PLAN stat:x",
		"devices migrate --plan nowhere.yaml",
		"devices migrate --plan PATCH",
		"devices migrate --plan PLAN --note why#not --rate 10/s id:pump-*",
		"devices migrate --plan PLAN --no-wait",
		"devices migration MIGRATION --follow",
		"devices migration MIGRATION --stop -o json",
		"devices migration nothing",
		"devices why pump-1 --limit 1",
		"devices delete pump-2 nobody",
		"devices get pump-2",
		"devices get pump-1 --api-url nowhere",
		"model list",
		"model list -o json",
		"model show pump",
		"model show fan -o json",
		"model show pump@1",
		"model show fan --source",
		"model show pump@2 --source",
		"model show pump@0123",
		"model show tank",
		"model push pump-3.yaml --note cooler --revision 2",
		"model push pump-3.yaml",
		"model push pump-3.yaml --revision 2",
		"model push faulty.yaml",
		"model push latin1.yaml",
		"model push missing.yaml",
		"model default pump@3 --note better",
		"model default pump@3",
		"model default pump@9",
		"model default pump",
		"model default pump@0",
		"model remove pump@3",
		"model remove pump@2 --note unused",
		"model show pump",
		"model rules",
		"model rules -o json",
		"model rules rules.json --note fans#first",
		"model rules rules.json",
		"model rules rules.json --revision 8",
		"model rules wrong.json",
		"model rules --note unused",
		"model rules --revision 0 rules.json",
		"model rules",
		"model changes --limit 3",
		"model changes --limit 1 -o json",
	} {
		args := strings.Fields(strings.NewReplacer("PATCH", patch, "PLAN", plan, "MIGRATION", migration).Replace(line))
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "#", " ")
		}
		status, stdout, stderr := run(args...)
		if found := began.FindStringSubmatch(stderr); found != nil && found[1] != migration {
			migration = found[1]
			hidden = append(hidden, migration, "MIGRATION")
		}
		fmt.Fprintf(&got, "$ devicetwin %s\n%s", line, stdout)
		for complaint := range strings.Lines(stderr) {
			got.WriteString("! " + complaint)
		}
		fmt.Fprintf(&got, "= %d\n\n", status)
	}
	text := strings.NewReplacer(hidden...).Replace(got.String())
	t.Chdir(home)
	const file = "testdata/cli.golden"
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(golden) {
		t.Errorf("the commands print something else than %s (go test -update rewrites it):\n%s", file, text)
	}
}

// modelFiles is a folder of files for the commands of the registry.
func modelFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"pump-3.yaml": "model: pump\ninitial: off\nstates: {off: {}}\n",
		"faulty.yaml": "model: pump\n\nFAULT\n",
		"latin1.yaml": "model: pump # k\xfchl\n",
		"rules.json":  `{"revision": 4, "sources": {"mqtt": {"model": "pump", "rules": [{"pattern": "fan-*", "model": "fan@1"}]}, "kafka": {}}, "kinds": {"customer": "loyalty"}}`,
		"wrong.json":  `{"source": {}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCommandsNeedATokenWhereOneIsAsked(t *testing.T) {
	token, line, err := api.NewToken("ops", []api.Scope{api.ScopeRead})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := api.OpenTokens(testfile.Write(t, "tokens", line+"\n"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serveFleet(t, func(o *api.Options) { o.Auth = tokens })
	if status, _, stderr := run("devices", "list"); status != cli.ExitFailed || !strings.Contains(stderr, "Authorization: Bearer TOKEN") {
		t.Errorf("without a token: %d %s", status, stderr)
	}
	t.Setenv("DEVICETWIN_API_TOKEN", token)
	if status, _, stderr := run("devices", "list"); status != cli.ExitOK {
		t.Errorf("with a token: %d %s", status, stderr)
	}
	if status, _, stderr := run("devices", "delete", "pump-1"); status != cli.ExitFailed || !strings.Contains(stderr, "needs the scope admin") {
		t.Errorf("with too little: %d %s", status, stderr)
	}
}

// A command that is waited for decides the exit status.
func TestCommandSendWaits(t *testing.T) {
	for final, want := range map[device.CommandStatus]int{device.CommandSucceeded: cli.ExitOK, device.CommandRejected: cli.ExitFailed} {
		fleet, _ := serveFleet(t)
		go func() { // the device
			for open := true; open; {
				fleet.Change("pump-1", func(d *api.Device) {
					if len(d.Commands) > 0 {
						d.Commands[0].Status, d.Commands[0].Reason, open = final, "because", false
					}
				})
			}
		}()
		status, stdout, stderr := run("command", "send", "pump-1", "reboot", "--wait")
		if status != want || !strings.Contains(stdout, string(final)) || want != cli.ExitOK && !strings.Contains(stderr, "rejected: because") {
			t.Errorf("%s: status %d\n%s%s", final, status, stdout, stderr)
		}
	}
}

// page is what a command writes while it runs.
type page struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *page) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		p.mu.Lock()
		all := p.out.String()
		p.mu.Unlock()
		if strings.Contains(all, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not shown: %q in\n%s", text, all)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWatchPrintsLines(t *testing.T) {
	fleet, server := serveFleet(t, func(o *api.Options) { o.Stream.Interval = time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out page
	ended := make(chan int)
	go func() {
		var grammar Commands
		ended <- cli.Execute(ctx, &grammar, "devicetwin", "", []string{"devices", "watch", "pump-1"}, &out, io.Discard)
	}()
	out.await(t, "snapshot   online, online, twin version 7\n")
	_, _ = fleet.SendEvent(ctx, "pump-1", device.By{Who: "ops", ID: "1"}, "maintenance", nil)
	out.await(t, "state      online -> maintenance on maintenance (operation event by ops)\n")
	_, _ = fleet.Desire(ctx, "pump-1", device.By{ID: "2"}, api.DesiredChange{Patch: api.Object(`{"a":1}`)})
	out.await(t, "twin       version 8, delta ")
	_, _ = fleet.SendCommand(ctx, "pump-1", device.By{ID: "3"}, api.NewCommand{Name: "reboot"})
	out.await(t, "command    reboot (c1) waiting\n")
	_ = fleet.Delete(ctx, "pump-1", device.By{ID: "4"})
	out.await(t, "gone       the device is gone\n")
	if status := <-ended; status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
	server.Close()
	if status, _, stderr := run("devices", "watch", "pump-2"); status != cli.ExitFailed || !strings.Contains(stderr, "the service is shutting down") {
		t.Errorf("a service that ends: status %d %s", status, stderr)
	}
	if status, _, _ := run("devices", "watch", "nobody", "--api-url=http://127.0.0.1:1"); status != cli.ExitFailed {
		t.Errorf("no service: status %d", status)
	}
}

// A screen is drawn over, and shows the device as it is.
func TestWatchRedraws(t *testing.T) {
	fleet, _ := serveFleet(t)
	from, err := client.New(os.Getenv("DEVICETWIN_API_URL"), "")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	screen := &screenWatcher{out: &out, from: from, device: "pump-1", now: func() time.Time { return apitest.Now }}
	device, err := from.Device(t.Context(), "pump-1")
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(device)
	show := func(kind, data string) string {
		out.Reset()
		if err := screen.show(t.Context(), client.Event{Type: kind, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := show(api.EventSnapshot, string(raw))
	if !strings.HasPrefix(text, "\x1b[Hdevice") || !strings.HasSuffix(text, "\x1b[J") || strings.Count(text, "\x1b[K\n") != strings.Count(text, "\n") {
		t.Errorf("%q is not drawn from the top, over what stood there", text)
	}
	fleet.Change("pump-1", func(d *api.Device) { d.State = "quarantined" })
	for range 20 {
		text = show(api.EventConnection, `{"connection":"offline"}`)
	}
	if !strings.Contains(text, "quarantined") || strings.Count(text, "12:00:00  connection offline") != shownEvents {
		t.Errorf("screen\n%s", text)
	}
}

// What a device says must not move the cursor of who looks at it.
func TestTablesAreHarmless(t *testing.T) {
	var out bytes.Buffer
	deviceTable(&out, []api.Summary{{ID: "a", Firmware: "\x1b[2J\u009b1m", Site: "x\ny", Tags: map[string]string{"k": "\x07"}}})
	if strings.ContainsAny(out.String(), "\x1b\u009b\x07") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%q", out.String())
	}
}
