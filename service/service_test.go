package service

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const pump = "../models/pump.yaml"

// withoutServers is a configuration whose servers are all away.
func withoutServers() Config {
	c := DefaultConfig()
	c.MQTT.URL, c.Temporal.Address, c.Influx.URL = []string{"tcp://127.0.0.1:1"}, "127.0.0.1:1", "http://127.0.0.1:1"
	c.Model.Model, c.Model.Copies, c.HTTP.Listen, c.API.Listen = pump, "", "127.0.0.1:0", ""
	return c
}

// startWithoutServers starts bridge and worker while their servers are unavailable.
func startWithoutServers(t *testing.T) *Service {
	t.Helper()
	config := withoutServers()
	config.Worker.Credentials = t.TempDir()
	service, err := Start(config, Bridge|Worker, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// While its servers are unavailable a service runs, says what it waits for, and ends
// when it is told to.
func TestServiceWithoutServers(t *testing.T) {
	service := startWithoutServers(t)
	for path, want := range map[string]struct {
		status int
		says   []string
	}{
		"/healthz": {http.StatusOK, []string{"ok"}},
		"/readyz":  {http.StatusServiceUnavailable, []string{"temporal: ", "worker: ", "bridge: not connected"}},
		"/metrics": {http.StatusOK, []string{"devicetwin_bridge_connected 0", "go_goroutines"}},
	} {
		response, err := http.Get("http://" + service.HTTPAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want.status {
			t.Errorf("%s: status %d, want %d", path, response.StatusCode, want.status)
		}
		for _, text := range want.says {
			if !strings.Contains(string(body), text) {
				t.Errorf("%s does not say %q:\n%s", path, text, body)
			}
		}
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + service.HTTPAddr() + "/healthz"); err == nil {
		t.Error("still served after the end")
	}
}

// A worker that cannot publish is not ready, whatever else is.
func TestWorkerIsNotReadyWithoutItsBroker(t *testing.T) {
	config := withoutServers()
	config.Worker.Credentials = t.TempDir()
	service, err := Start(config, Worker, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if page := get(t, service.HTTPAddr(), "/readyz"); !strings.Contains(page, "publisher: not connected to the MQTT broker") {
		t.Errorf("ready without a broker:\n%s", page)
	}
}

// A process that cannot listen leaves the broker alone: its session may be that of
// a process that runs.
func TestAnAddressInUseIsNoticedFirst(t *testing.T) {
	broker, taken := listenHere(t), listenHere(t)
	for name, set := range map[string]func(*Config){
		"API":  func(c *Config) { c.API.Listen = taken.Addr().String() },
		"HTTP": func(c *Config) { c.HTTP.Listen = taken.Addr().String() },
	} {
		config := withoutServers()
		config.Worker.Credentials = t.TempDir()
		config.MQTT.URL = []string{"tcp://" + broker.Addr().String()}
		set(&config)
		if _, err := Start(config, Bridge|Worker|API, slog.New(slog.DiscardHandler)); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: error %v, want an address in use", name, err)
		}
	}
	_ = broker.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if connection, err := broker.Accept(); err == nil {
		connection.Close()
		t.Error("the broker got a connection")
	}
}

func listenHere(t *testing.T) *net.TCPListener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.(*net.TCPListener)
}

// Without an InfluxDB, nothing goes over the devices for the sake of points.
func TestNothingIsListedForPointsThatAreNotWritten(t *testing.T) {
	lists := []string{"writer of figures", "count of devices", "list of devices in trouble"}
	for url, want := range map[string][]string{"http://127.0.0.1:1": lists, "": nil} {
		config := withoutServers()
		config.Influx.URL, config.Worker.Credentials = url, t.TempDir()
		service, err := Start(config, Bridge|Worker, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range lists {
			if slices.ContainsFunc(service.stoppers, func(c closer) bool { return c.name == name }) {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("with InfluxDB at %q: %q, want %q", url, got, want)
		}
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	}
}
