package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/internal/credentials"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
)

// secretOf is what a device holds of one credential; ID is "" for the first, which it
// was made with.
type secretOf struct{ ID, Password string }

// pump is a device that keeps all passwords that it was ever given, and logs in by the
// newest one that is taken.
type pump struct {
	url, id string
	crash   chan struct{}
	given   chan secretOf // by commands
	lost    chan struct{} // a connection ended

	mu   sync.Mutex
	held []secretOf // oldest first
	used int        // position of the one that it is logged in by; -1 before
}

func newPump(url, id, password string) *pump {
	return &pump{url: url, id: id, crash: make(chan struct{}, 1), given: make(chan secretOf, 100), lost: make(chan struct{}, 1), held: []secretOf{{Password: password}}, used: -1}
}

// state is the password that it is logged in by, the newest that it holds, and the
// number of passwords.
func (p *pump) state() (used, newest secretOf, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[max(0, p.used)], p.held[len(p.held)-1], len(p.held)
}

// settled reports whether it is logged in by the last of at least n passwords.
func (p *pump) settled(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held) >= n && p.used == len(p.held)-1
}

// run lives until the context ends.
func (p *pump) run(ctx context.Context) {
	for ctx.Err() == nil {
		client := p.login(ctx)
		if client == nil {
			return
		}
		if used, _, _ := p.state(); used.ID != "" {
			client.Publish("devices/"+p.id+"/status", 1, false, fmt.Sprintf(`{"status": "boot", "credential": %q}`, used.ID))
		}
		p.live(ctx, client)
		client.Disconnect(100)
	}
}

// live returns when there is a new password, or no connection any more.
func (p *pump) live(ctx context.Context, client mqtt.Client) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.lost:
			return
		case <-p.crash:
			for range 3 {
				client.Publish("devices/"+p.id+"/status", 1, false, `{"status": "boot"}`)
			}
			client.Publish("devices/"+p.id+"/telemetry", 1, false, `{"code": 117}`).WaitTimeout(patience)
		case s := <-p.given:
			fresh := p.keep(s)
			client.Publish("devices/"+p.id+"/commands/reprovision/ack", 1, false, fmt.Sprintf(`{"id": %q, "status": "succeeded"}`, s.ID)).WaitTimeout(patience)
			if fresh {
				return
			}
		}
	}
}

// keep keeps the first password of each credential.
func (p *pump) keep(s secretOf) (fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(p.held, func(h secretOf) bool { return h.ID == s.ID }) {
		return false
	}
	p.held = append(p.held, s)
	return true
}

// login tries the newest password first, until one is taken; nil is the end of ctx.
func (p *pump) login(ctx context.Context) mqtt.Client {
	for ctx.Err() == nil {
		_, _, n := p.state()
		for i := n - 1; i >= 0; i-- {
			p.mu.Lock()
			password := p.held[i].Password
			p.mu.Unlock()
			client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(p.url).SetClientID(p.id).SetUsername(p.id).SetPassword(password).
				SetProtocolVersion(4).SetCleanSession(false).SetAutoReconnect(false).SetConnectTimeout(10 * time.Second).
				SetConnectionLostHandler(func(mqtt.Client, error) {
					select {
					case p.lost <- struct{}{}:
					default:
					}
				}).
				SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
					var command struct {
						Data struct{ Credentials secretOf }
					}
					if json.Unmarshal(m.Payload(), &command) == nil && command.Data.Credentials.Password != "" {
						p.given <- command.Data.Credentials
					}
				}))
			if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
				continue
			}
			if token := client.Subscribe("devices/"+p.id+"/commands/+", 1, nil); !token.WaitTimeout(patience) || token.Error() != nil {
				client.Disconnect(0)
				continue
			}
			p.mu.Lock()
			p.used = i
			p.mu.Unlock()
			return client
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// admits reports whether the broker lets somebody in by this name and password, in a
// session of its own.
func admits(t *testing.T, url, name, password string) bool {
	t.Helper()
	c, err := tryConnect(t, url, name+"/probe", login(name, password))
	if err != nil {
		return false
	}
	c.disconnect()
	return true
}

// A device whose credentials are revoked is out within a second at the embedded broker,
// and nobody else is.
func TestARevokedDeviceIsOut(t *testing.T) {
	store, err := credentials.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := openAuthority(t)
	s := startTLSBroker(t, a, stack.Options{Credentials: store})
	broker := s.MQTT
	lost := make(chan string, 6)
	for _, id := range []string{"pump-1", "pump-2"} {
		connect(t, s.MQTTS.URL(), id+"/tls", certificate(t, a, a, id, time.Hour), func(o *mqtt.ClientOptions) {
			o.SetConnectionLostHandler(func(mqtt.Client, error) { lost <- id })
		})
		password, err := store.Issue(t.Context(), device.ID(id), "first")
		if err != nil {
			t.Fatal(err)
		}
		for client, name := range map[string]string{id: id, id + "/sdk": id + "?SDK=Go"} {
			connect(t, broker.URL(), client, login(name, password), func(o *mqtt.ClientOptions) {
				o.SetConnectionLostHandler(func(mqtt.Client, error) { lost <- id })
			})
		}
	}
	began := time.Now()
	if _, err := store.Revoke(t.Context(), []device.ID{"pump-1"}); err != nil {
		t.Fatal(err)
	}
	for range 3 { // by its password, also with an SDK, and by its certificate
		select {
		case id := <-lost:
			t.Logf("%s is out after %v", id, time.Since(began))
			if id != "pump-1" {
				t.Errorf("%s is out", id)
			}
		case <-time.After(patience):
			t.Fatal("the session goes on")
		}
	}
	if d, err := tryConnect(t, s.MQTTS.URL(), "pump-1/tls", certificate(t, a, a, "pump-1", time.Hour)); err == nil {
		d.disconnect()
		t.Error("it is in again, with its certificate")
	}
	select {
	case id := <-lost:
		t.Errorf("%s is out, too", id)
	case <-time.After(500 * time.Millisecond):
	}
}

// Two workers share the credentials in PostgreSQL. One of them is killed while devices are
// reprovisioned, and PostgreSQL is down for a minute while others are: nobody is locked
// out who should be in, and nobody is let in who should not.
func TestCredentialsInPostgreSQL(t *testing.T) {
	postgres := serverstest.PostgreSQL(t, ports)
	where := fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", servers.PostgreSQLUser, net.JoinHostPort(process.Host, postgres.Port))
	store, err := credentials.Open(where) // of the broker
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartMQTT, stack.PartTemporal}, Credentials: store})
	run := func(command string, flags ...string) *process.Process {
		listen := "127.0.0.1:" + freePort(t)
		p := background(t, "devicetwin", append([]string{
			command, "--http-listen", listen, "--model", "models/pump.yaml", "--mqtt-url", s.MQTT.URL(), "--temporal-address", s.Temporal.Addr(), "--influx-url", "",
		}, flags...)...)
		awaitReady(t, listen)
		return p
	}
	run("bridge", "--bridge-id", "e2e")
	worker := func(id string) *process.Process {
		return run("worker", "--worker-id", id, "--worker-credentials", where)
	}
	killed := worker("w1")
	worker("w2")
	models, err := service.ModelConfig{Model: pumpModel}.LoadModels()
	if err != nil {
		t.Fatal(err)
	}
	twins := twinclient.New(dialTemporal(t, s.Temporal.Addr()), stack.Namespace, taskQueue, models[0].Hash())
	t.Cleanup(twins.Close)

	first := func(id string) string {
		t.Helper()
		password, err := store.Issue(t.Context(), device.ID(id), "first")
		if err != nil {
			t.Fatal(err)
		}
		return password
	}
	stolen := first("stolen")
	if _, err := store.Revoke(t.Context(), []device.ID{"stolen"}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var living sync.WaitGroup
	defer func() { stop(); living.Wait() }()
	const half = 6
	pumps := make([]*pump, 2*half)
	for i := range pumps {
		id := fmt.Sprint("p", i)
		pumps[i] = newPump(s.MQTT.URL(), id, first(id))
		living.Go(func() { pumps[i].run(ctx) })
	}
	all := func(what string, within time.Duration, of []*pump, is func(*pump) bool) {
		t.Helper()
		eventuallyWithin(t, within, 50*time.Millisecond, what, func(context.Context) bool {
			for _, p := range of {
				if !is(p) {
					return false
				}
			}
			return true
		})
	}
	online := func(p *pump) bool {
		view, err := twins.Snapshot(ctx, device.ID(p.id))
		return err == nil && view.StateName == "online" && p.settled(2)
	}
	nobodyElse := func() {
		t.Helper()
		for name, password := range map[string]string{"stolen": stolen, "p0": "guess", "p1": pumps[2].held[0].Password, "nobody": "x"} {
			if admits(t, s.MQTT.URL(), name, password) {
				t.Errorf("%s is let in by a wrong password", name)
			}
		}
	}
	all("all are in", time.Minute, pumps, func(p *pump) bool { return p.settled(1) })
	nobodyElse()

	for _, p := range pumps[:half] {
		p.crash <- struct{}{}
	}
	eventuallyWithin(t, time.Minute, 5*time.Millisecond, "one has a new password", func(context.Context) bool {
		for _, p := range pumps[:half] {
			if _, _, n := p.state(); n > 1 {
				return true
			}
		}
		return false
	})
	killed.Kill()
	nobodyElse()
	worker("w1")
	all("the first half is reprovisioned", 3*time.Minute, pumps[:half], online)
	time.Sleep(time.Second) // the broker sees a use of a password when the database does

	for _, p := range pumps[half:] {
		p.crash <- struct{}{}
	}
	if err := postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	for down := time.Now(); time.Since(down) < time.Minute; time.Sleep(5 * time.Second) {
		for _, p := range pumps[:half] {
			if used, _, _ := p.state(); !admits(t, s.MQTT.URL(), p.id, used.Password) {
				t.Errorf("%s is locked out while PostgreSQL is down", p.id)
			}
			if admits(t, s.MQTT.URL(), p.id, p.held[0].Password) {
				t.Errorf("%s is let in by an older password while PostgreSQL is down", p.id)
			}
		}
		nobodyElse()
	}
	if err := postgres.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	all("the second half is reprovisioned", 3*time.Minute, pumps[half:], online)

	eventually(t, "the store answers again", func(ctx context.Context) bool {
		good, err := store.Check(ctx, "nobody", "x")
		return err == nil && !good
	})
	nobodyElse()
	for _, p := range pumps {
		used, newest, n := p.state()
		if used != newest || !admits(t, s.MQTT.URL(), p.id, newest.Password) {
			t.Errorf("%s is locked out: it has %d passwords, and uses %s", p.id, n, used.ID)
		}
		if admits(t, s.MQTT.URL(), p.id, p.held[0].Password) {
			t.Errorf("%s is let in by its first password", p.id)
		}
	}
	if good, err := store.Check(t.Context(), "stolen", stolen); good || err != nil {
		t.Errorf("the stolen one: %v, %v", good, err)
	}
}
