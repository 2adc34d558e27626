package auth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/auth/authtest"
	"devicetwin/internal/testfile"
	"devicetwin/twin"
	"devicetwin/wire"
)

// broken is a store that cannot be read.
type broken struct{}

func (broken) Check(context.Context, string, string) (bool, error) {
	return false, errors.New("disk gone")
}

func (broken) Revoked(context.Context, string) (bool, error) {
	return false, errors.New("disk gone")
}

func decider(t *testing.T, c Config) *Decider {
	t.Helper()
	accounts := AccountFile(testfile.Write(t, "accounts", "# accounts\n\ndevicetwin.bridge:"+authtest.Hash("open")+"\nother.one:"+strings.ToUpper(authtest.Hash("sesame"))+"\n"))
	d, err := New(c, authtest.Passwords{"pump-1": "right", "devicetwin-bridge-a": "right", "a:b": "right", "revoked-1": ""}, accounts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWhoMayConnect(t *testing.T) {
	const sdk = "?SDK=JavaScript&Version=2.2.16"
	d := decider(t, DefaultConfig())
	for _, tt := range []struct {
		name  string
		login Login
		want  Reason // "" for one that is admitted
	}{
		{"device", Login{"pump-1", "pump-1", "right", ""}, ""},
		{"second connection", Login{"pump-1.watch", "pump-1", "right", ""}, ""},
		{"second connection with a slash", Login{"pump-1/watch", "pump-1", "right", ""}, ""},
		{"colon in the id", Login{"a:b", "a:b", "right", ""}, ""},
		{"advertisement behind the name", Login{"pump-1", "pump-1" + sdk, "right", ""}, ""},
		{"wrong password", Login{"pump-1", "pump-1", "guess", ""}, ReasonPassword},
		{"no password", Login{"pump-1", "pump-1", "", ""}, ReasonPassword},
		{"unknown device", Login{"pump-2", "pump-2", "right", ""}, ReasonPassword},
		{"session of another device", Login{"pump-2", "pump-1", "right", ""}, ReasonClientID},
		{"session of a longer name", Login{"pump-12", "pump-1", "right", ""}, ReasonClientID},
		{"session of a bridge", Login{"devicetwin-bridge-1", "pump-1", "right", ""}, ReasonClientID},
		{"client id chosen by the broker", Login{"", "pump-1", "right", ""}, ReasonClientID},
		{"device named like a bridge's session", Login{"devicetwin-bridge-a", "devicetwin-bridge-a", "right", ""}, ReasonName},
		{"name that is not an id", Login{"a/b", "a/b", "right", ""}, ReasonName},
		{"nobody", Login{"pump-1", "", "", ""}, ReasonName},
		{"nobody, with a password", Login{"pump-1", "", "right", ""}, ReasonName},
		{"nobody but an SDK", Login{"pump-1", sdk, "", ""}, ReasonName},

		{"service", Login{"anything", "devicetwin.bridge", "open", ""}, ""},
		{"hash in capitals", Login{"x", "other.one", "sesame", ""}, ""},
		{"service, wrong password", Login{"x", "devicetwin.bridge", "sesame", ""}, ReasonPassword},
		{"service, its hash as password", Login{"x", "devicetwin.bridge", authtest.Hash("open"), ""}, ReasonPassword},
		{"unknown service", Login{"x", "devicetwin.none", "", ""}, ReasonPassword},
		{"device that looks like a service", Login{"pump.1", "pump.1", "right", ""}, ReasonPassword},

		{"certificate", Login{"pump-9", "", "", "pump-9"}, ""},
		{"certificate and an SDK", Login{"pump-9", sdk, "", "pump-9"}, ""},
		{"certificate and a name without meaning", Login{"pump-9", "my user", "", "pump-9"}, ""},
		{"certificate and its name", Login{"pump-9", "pump-9", "", "pump-9"}, ""},
		{"certificate and its name and password", Login{"pump-1", "pump-1", "right", "pump-1"}, ""},
		{"certificate and a wrong password", Login{"pump-1", "pump-1", "guess", "pump-1"}, ReasonPassword},
		{"certificate and another name", Login{"pump-9", "pump-1", "right", "pump-9"}, ReasonCertificate},
		{"certificate and a service's name", Login{"pump-9", "devicetwin.bridge", "open", "pump-9"}, ReasonCertificate},
		{"certificate and the session of another", Login{"pump-1", "", "", "pump-9"}, ReasonClientID},
		{"certificate of a device that was revoked", Login{"revoked-1", "", "", "revoked-1"}, ReasonCertificate},
		{"certificate and the name of a device that was revoked", Login{"revoked-1", "revoked-1", "", "revoked-1"}, ReasonCertificate},
		{"certificate and a password of a device that was revoked", Login{"revoked-1", "revoked-1", "right", "revoked-1"}, ReasonPassword},
		{"certificate of nobody", Login{"x", "", "", "a b"}, ReasonCertificate},
		{"certificate named like a bridge's session", Login{"devicetwin-x", "", "", "devicetwin-x"}, ReasonCertificate},
		{"certificate of a service", Login{"x", "", "", "devicetwin.bridge"}, ""},
		{"certificate of a host", Login{"x", "", "", "mqtt.example.org"}, ReasonCertificate},
	} {
		c, err := d.Login(t.Context(), tt.login)
		if got := ReasonOf(err); got != tt.want || (err == nil) != (tt.want == "") {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
		if p := tt.login.Password; err != nil && p != "" && strings.Contains(err.Error(), p) {
			t.Errorf("%s: the error contains the password: %v", tt.name, err)
		}
		if err != nil {
			continue
		}
		if known, ok := d.Known(tt.login.Username, tt.login.Certificate); !ok || known != c {
			t.Errorf("%s: admitted as %q, known as %q (%v)", tt.name, c, known, ok)
		}
	}
}

func TestAnonymousClients(t *testing.T) {
	c := DefaultConfig()
	c.Anonymous = true
	for _, tt := range []struct {
		d    *Decider
		want bool
	}{{decider(t, c), true}, {decider(t, DefaultConfig()), false}} {
		for _, username := range []string{"", "?SDK=CPPv2&Version=1.2"} {
			_, err := tt.d.Login(t.Context(), Login{Client: "x", Username: username})
			client, known := tt.d.Known(username, "")
			if (err == nil) != tt.want || known != tt.want {
				t.Errorf("user name %q: error %v, known %v, want %v", username, err, known, tt.want)
			}
			if tt.d.MayPublish(client, "any/topic") != tt.want || tt.d.MaySubscribe(client, "#") != tt.want || (len(tt.d.Permissions(client)) > 0) != tt.want {
				t.Errorf("user name %q: may do something other than wanted (%v)", username, tt.want)
			}
		}
		if _, err := tt.d.Login(t.Context(), Login{Client: "x", Username: "pump-1", Password: "guess"}); err == nil {
			t.Error("a wrong password was taken")
		}
	}
}

// Whoever cannot be checked does not come in.
func TestUnreadablePasswords(t *testing.T) {
	d, err := New(DefaultConfig(), broken{}, AccountFile(filepath.Join(t.TempDir(), "none")))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []Login{{"a", "a", "x", ""}, {"b", "devicetwin.bridge", "x", ""}, {"b", "", "", "devicetwin.bridge"}, {"a", "", "", "a"}} {
		if _, err := d.Login(t.Context(), l); ReasonOf(err) != ReasonStore {
			t.Errorf("%+v: got %v", l, err)
		}
	}
	without, err := New(DefaultConfig(), authtest.Passwords{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []Login{{"b", "devicetwin.bridge", "", ""}, {"b", "", "", "devicetwin.bridge"}} {
		if _, err := without.Login(t.Context(), l); err == nil {
			t.Errorf("%+v: admitted without accounts", l)
		}
	}
}

// What a client says of itself is in an error in part, and in quotes.
func TestErrorsAreBounded(t *testing.T) {
	d := decider(t, DefaultConfig())
	without, err := New(DefaultConfig(), broken{}, AccountFile("none"))
	if err != nil {
		t.Fatal(err)
	}
	for _, long := range []string{strings.Repeat("x", 60_000), strings.Repeat("x", 60_000) + ".x", "a\nb\x1b[2J", "a\nb.c"} {
		for _, d := range []*Decider{d, without} {
			for _, l := range []Login{
				{"x", long, "right", ""}, {long, "pump-1", "right", ""}, {long, "", "", ""}, {"x", "", "", long}, {"x", long, "", "pump-9"}, {"x", "pump-1", "", long}, {"x", long, "right", long},
			} {
				_, err := d.Login(t.Context(), l)
				if err == nil || len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\n\x1b") {
					t.Errorf("%.30q, %.30q, %.30q: %.300q", l.Client, l.Username, l.Certificate, err)
				}
			}
		}
	}
}

func TestAccountsChangeWhileBrokersRun(t *testing.T) {
	file := testfile.Write(t, "accounts", "a.b:"+authtest.Hash("old")+"\n")
	check := func(password string, want bool) {
		t.Helper()
		if got, err := AccountFile(file).Check(t.Context(), "a.b", password); got != want || err != nil {
			t.Errorf("password %q: %v, %v; want %v", password, got, err, want)
		}
	}
	check("old", true)
	if err := os.WriteFile(file, []byte("a.b:"+authtest.Hash("new")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("old", false)
	check("new", true)
	for name, says := range map[string]string{"a.b:secret\n": ":1: expected NAME:SHA256", "\nbridge:" + authtest.Hash("x") + "\n": ":2: expected"} {
		if err := AccountFile(testfile.Write(t, "accounts", name)).Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, and not %q", name, err, says)
		}
	}
}

func TestWhatAClientMayDo(t *testing.T) {
	c := DefaultConfig()
	c.Allow = []string{"publish tele/{id}/#", "publish shellies/shelly-{id}/+", "subscribe news/+", "devicetwin.bridge: subscribe tele/#", "other.one: all shared/x"}
	d := decider(t, c)
	const sub, pub = "subscribe", "publish"
	for _, tt := range []struct {
		who, action, topic string
		want               bool
	}{
		{"pump-1", pub, "devices/pump-1/telemetry", true},
		{"pump-1", pub, "devices/pump-1/status", true},
		{"pump-1", pub, "devices/pump-1/events/a.b", true},
		{"pump-1", pub, "devices/pump-1/commands/reboot/ack", true},
		{"pump-1", pub, "devices/pump-1/twin/get", true},
		{"pump-1", pub, "devices/pump-1/twin/config/update", true},
		{"pump-1", pub, "$aws/things/pump-1/shadow/delete", true},
		{"pump-1", pub, "$aws/things/pump-1/shadow/name/config/get", true},
		{"pump-1", pub, "tele/pump-1/a/b", true},
		{"pump-1", pub, "tele/pump-1", true},
		{"pump-1", pub, "shellies/shelly-pump-1/relay", true},
		{"pump-1", pub, "shellies/shelly-pump-2/relay", false},
		{"pump-1", pub, "shellies/shelly-{id}/relay", false},
		{"pump-1", pub, "tele/{id}/x", false},
		{"pump-1", pub, "devices/pump-1/commands/reboot", false},
		{"pump-1", pub, "devices/pump-1/twin/update/accepted", false},
		{"pump-1", pub, "$aws/things/pump-1/shadow/update/delta", false},
		{"pump-1", pub, "devices/pump-1/events/a/b", false},
		{"pump-1", pub, "devices/pump-1", false},
		{"pump-1", pub, "devices/pump-2/telemetry", false},
		{"pump-1", pub, "devices/pump-10/telemetry", false},
		{"pump-1", pub, "devices/+/telemetry", false},
		{"pump-1", pub, "devices/pump-1/events/#", false},
		{"pump-1", pub, "devices/pump-1/events/+", false},
		{"pump-1", pub, "tele/pump-2/x", false},
		{"pump-1", pub, "news/x", false},
		{"pump-1", pub, "bridge/b/status", false},
		{"pump-1", pub, "", false},
		{"pump-1", sub, "devices/pump-1/#", true},
		{"pump-1", sub, "devices/pump-1/commands/+", true},
		{"pump-1", sub, "devices/pump-1/commands/reboot", true},
		{"pump-1", sub, "$share/g/devices/pump-1/commands/+", true},
		{"pump-1", sub, "$aws/things/pump-1/shadow/update/delta", true},
		{"pump-1", sub, "news/+", true},
		{"pump-1", sub, "news/today", true},
		{"pump-1", sub, "news/#", false},
		{"pump-1", sub, "#", false},
		{"pump-1", sub, "+/pump-1/#", false},
		{"pump-1", sub, "devices/+/commands/+", false},
		{"pump-1", sub, "devices/#", false},
		{"pump-1", sub, "$aws/things/#", false},
		{"pump-1", sub, "$share/g/devices/#", false},
		{"pump-1", sub, "$share/devices/pump-1/#", false},
		{"pump-1", sub, "$SYS/#", false},
		{"pump-1", sub, "devices/pump-2/commands/+", false},
		{"pump-1", sub, "tele/pump-1/#", false},

		{"devicetwin.bridge", sub, "devices/#", true},
		{"devicetwin.bridge", sub, "$share/bridges/devices/#", true},
		{"devicetwin.bridge", sub, "$aws/things/+/shadow/#", true},
		{"devicetwin.bridge", sub, "tele/#", true},
		{"devicetwin.bridge", sub, "bridge/b/claim", true},
		{"devicetwin.bridge", sub, "#", false},
		{"devicetwin.bridge", pub, "bridge/b/status", true},
		{"devicetwin.bridge", pub, "bridge/b/deadletter", true},
		{"devicetwin.bridge", pub, "devices/a/twin/get/rejected", true},
		{"devicetwin.bridge", pub, "devices/a/telemetry", false},
		{"devicetwin.bridge", pub, "devices/a/commands/x", false},
		{"devicetwin.bridge", sub, "bridge/b/deadletter", false},
		{"devicetwin.worker", pub, "devices/a/commands/reboot", true},
		{"devicetwin.worker", pub, "$aws/things/a/shadow/update/delta", true},
		{"devicetwin.worker", pub, "devices/a/telemetry", false},
		{"devicetwin.worker", sub, "devices/#", false},
		{"devicetwin.fleet", pub, "devices/a/telemetry", true},
		{"devicetwin.fleet", sub, "devices/a/commands/+", true},
		{"devicetwin.fleet", pub, "bridge/b/status", false},
		{"other.one", pub, "shared/x", true},
		{"other.one", sub, "devices/#", false},
		{"nobody.else", sub, "shared/x", false},
	} {
		who, ok := d.Known(tt.who, "")
		if !ok {
			t.Fatal(tt.who)
		}
		may := d.MaySubscribe
		if tt.action == pub {
			may = d.MayPublish
		}
		if got := may(who, tt.topic); got != tt.want {
			t.Errorf("%s may %s %q: %v, want %v", tt.who, tt.action, tt.topic, got, tt.want)
		}
	}
	if d.MayPublish(Client{}, "shared/x") || d.MaySubscribe(Client{}, "shared/x") {
		t.Error("a client that named nobody may do something")
	}
}

// All permissions at once say the same as one question after the other.
func TestPermissions(t *testing.T) {
	d := decider(t, DefaultConfig())
	for _, who := range []string{"pump-1", AccountBridge, AccountWorker, AccountFleet, "other.one"} {
		c, _ := d.Known(who, "")
		all := d.Permissions(c)
		if (len(all) == 0) != (who == "other.one") {
			t.Errorf("%s has %d permissions", who, len(all))
		}
		for _, r := range all {
			topic := strings.NewReplacer("+", "x", "#", "y").Replace(r.Filter)
			if strings.Contains(r.Filter, "{") || d.MayPublish(c, topic) != publishes(all, topic) || r.Subscribe && !d.MaySubscribe(c, r.Filter) {
				t.Errorf("%s: %+v is not what is decided", who, r)
			}
		}
	}
}

func publishes(all []Rule, topic string) bool {
	for _, r := range all {
		if r.Publish && Covers(r.Filter, topic) {
			return true
		}
	}
	return false
}

func TestOtherTopics(t *testing.T) {
	d := decider(t, Config{Prefix: "site/things", ShadowTopics: []string{"acme/{id}/state[/{shadow}]"}})
	pump, _ := d.Known("pump-1", "")
	for topic, want := range map[string]bool{
		"site/things/pump-1/telemetry": true, "acme/pump-1/state/get": true, "acme/pump-1/state/lamp/update": true,
		"devices/pump-1/telemetry": false, "acme/pump-2/state/get": false, "$aws/things/pump-1/shadow/get": false,
	} {
		if d.MayPublish(pump, topic) != want {
			t.Errorf("publish to %s: want %v", topic, want)
		}
	}
}

// The worker publishes what it always does: the retained documents are not on the topics
// of the shadow protocol.
func TestTopicsOfTheWorker(t *testing.T) {
	for _, shadows := range [][]string{wire.DefaultShadowTopics(), {"acme/{id}/state[/{shadow}]"}} {
		c := wire.DefaultConfig()
		c.Prefix, c.ShadowTopics = "site/things", shadows
		topics, err := wire.New(c)
		if err != nil {
			t.Fatal(err)
		}
		d := decider(t, Config{Prefix: c.Prefix, ShadowTopics: c.ShadowTopics})
		worker, pump := Client{Service: AccountWorker}, Client{Device: "pump-1"}
		for _, document := range []wire.ShadowDocument{
			{Rest: "update/delta"}, {Shadow: "config", Rest: "update/documents"}, {Rest: twin.RestCurrent, Retained: true}, {Shadow: "config", Rest: twin.RestCurrent, Retained: true},
		} {
			for _, topic := range topics.ShadowTopics("pump-1", document) {
				if !d.MayPublish(worker, topic) || d.MayPublish(pump, topic) || !d.MaySubscribe(pump, topic) || d.MaySubscribe(Client{Device: "pump-2"}, topic) {
					t.Errorf("%s: the worker may publish: %v, the device: %v", topic, d.MayPublish(worker, topic), d.MayPublish(pump, topic))
				}
			}
		}
		bridge := Client{Service: AccountBridge}
		for _, filter := range topics.Filters() {
			if !d.MaySubscribe(bridge, filter) {
				t.Errorf("a bridge may not subscribe to %s", filter)
			}
		}
	}
}

func TestFaultsOfRules(t *testing.T) {
	c := Config{Prefix: "+", Allow: []string{
		"read a/{id}", "publish", "publish a/#", "subscribe a/#/b", "all a/{id}#", "bridge: subscribe a", "a.b: publish a/{id}", "subscribe $share/g/a", "subscribe ",
	}}
	_, err := New(c, authtest.Passwords{}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, says := range []string{
		`topic prefix "+"`, `rule "read a/{id}": expected publish, subscribe or all`, `rule "publish": expected`, `rule "publish a/#": filter "a/#": expected {id} in it`,
		`rule "subscribe a/#/b"`, `rule "all a/{id}#"`, `account "bridge": expected a name with a dot`, `rule "a.b: publish a/{id}"`, `without $share`, `rule "subscribe "`,
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("not reported: %s\n%v", says, err)
		}
	}
}
