package process

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/internal/testserver"
)

// Mosquitto is ready when it listens, keeps its sessions in the configured folder,
// and accepts more settings, or reports one that it does not know.
func TestMosquitto(t *testing.T) {
	if _, err := FindMosquitto(); err != nil {
		testserver.Missing(t, err.Error())
	}
	pool := NewPortPool()
	broker := func(data string, more ...string) (*Process, string) {
		t.Helper()
		ports, err := pool.Take(1)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewMosquitto(t.TempDir(), "broker", data, ports[0], more...)
		if err != nil {
			t.Fatal(err)
		}
		return p, net.JoinHostPort(Host, ports[0])
	}
	data := t.TempDir()
	p, address := broker(data, "autosave_interval 1", "log_type notice")
	defer p.Kill()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(data, "mosquitto.db")); err != nil {
		t.Errorf("nothing was saved: %v", err)
	}
	if !strings.Contains(p.Said(), "New connection") {
		t.Errorf("notices are not logged: %s", p.Said())
	}
	if config := mosquittoConfig(data, "1", nil); !strings.Contains(config, "\nallow_anonymous true\n") {
		t.Errorf("without a login, it asks who somebody is:\n%s", config)
	}
	login := MosquittoLogin{Plugin: "/p.so", Credentials: "/c", Services: "/s", Allow: []string{"publish a/{id}"}}
	config := mosquittoConfig(data, "1", login.Lines())
	if strings.Contains(config, "allow_anonymous true") || !strings.Contains(config, `
allow_anonymous false
plugin /p.so
plugin_opt_credentials /c
plugin_opt_services /s
plugin_opt_allow publish a/{id}
`) {
		t.Errorf("with a login:\n%s", config)
	}
	wrong, _ := broker(t.TempDir(), "no_such_setting 1")
	defer wrong.Kill()
	if err := wrong.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("a setting that does not exist: %v", err)
	}
}
