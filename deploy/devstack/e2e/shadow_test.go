package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/pki"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/npmtest"
)

// The shadow protocol as a client library speaks it that this project did not
// write: thingShadow of the npm package aws-iot-device-sdk, over mutual TLS.
func TestShadowClientLibrary(t *testing.T) {
	dir := npmtest.Install(t, "shadow_client")
	a := openAuthority(t)
	s := startSystemOn(t, withTLS(t, a, stack.Options{}), 10_000)
	converse(t, s.Stack, a, dir)
}

// withTLS adds the listener for devices with certificates.
func withTLS(t *testing.T, a *pki.Authority, o stack.Options) stack.Options {
	t.Helper()
	server, err := a.Server([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.Parts = append(o.Parts, stack.PartMQTTS)
	o.TLS = &stack.TLS{CAFile: a.CAFile(), CertFile: server.CertFile, KeyFile: server.KeyFile}
	return o
}

// converse is the whole conversation; an operator takes part by plain MQTT.
func converse(t *testing.T, s *stack.Stack, a *pki.Authority, dir string) {
	const thing = "pump-1"
	operator := connect(t, s.MQTT.URL(), "operator")
	desire := func(desired string) {
		t.Helper()
		operator.publish("$aws/things/"+thing+"/shadow/update", `{"state":{"desired":`+desired+`}}`)
	}
	client := startShadowClient(t, dir, s.MQTTS.Port(), a, thing)
	client.expect("connect")
	client.do(`{"do":"register","options":{"qos":1}}`)
	client.expect("registered")

	client.do(`{"do":"get"}`)
	client.refused(404)

	client.do(`{"do":"update","state":{"state":{"reported":{"interval":30,"color":{"r":1,"g":2}}}}}`)
	first := client.accepted()
	first.is("state.reported.interval", 30.0)
	client.do(`{"do":"get"}`)
	got := client.accepted()
	got.is("state.reported.color", map[string]any{"r": 1.0, "g": 2.0})
	got.is("state.delta", nil)
	got.is("version", first.Version)

	// Somebody changes what is desired: the delta arrives, and the version too.
	desire(`{"interval":60,"color":{"r":9}}`)
	both := client.expectAll("delta", "foreign")
	delta, foreign := both["delta"], both["foreign"]
	delta.is("state", map[string]any{"interval": 60.0, "color": map[string]any{"r": 9.0}})
	delta.is("version", first.Version+1)
	foreign.is("state.desired.interval", 60.0)
	client.do(`{"do":"update","state":{"state":{"reported":{"interval":60}}}}`)
	both = client.expectAll("delta", "status")
	both["delta"].is("state", map[string]any{"color": map[string]any{"r": 9.0}}) // what is still open
	both["status"].is("version", first.Version+2)
	client.do(`{"do":"update","state":{"state":{"reported":{"color":{"r":9}}}}}`)
	client.accepted().is("version", first.Version+3) // and no delta, before it or after
	client.do(`{"do":"get"}`)
	got = client.accepted()
	got.is("state.delta", nil)
	got.is("state.reported", map[string]any{"interval": 60.0, "color": map[string]any{"r": 9.0, "g": 2.0}})

	// A client that listens to nobody else works on an old version.
	client.do(`{"do":"unregister"}`)
	client.do(`{"do":"register","options":{"qos":1,"persistentSubscribe":false,"ignoreDeltas":true}}`)
	client.expect("registered")
	client.do(`{"do":"update","state":{"state":{"reported":{"mode":"eco"}}}}`)
	client.accepted()
	client.do(`{"do":"get"}`) // after it, the broker has ended the subscriptions of the update
	client.accepted()
	operator.subscribe("$aws/things/" + thing + "/shadow/update/accepted")
	desire(`{"interval":90}`)
	operator.next()
	client.do(`{"do":"update","state":{"state":{"reported":{"mode":"full"}}}}`)
	client.refused(409)
	client.do(`{"do":"get"}`)
	got = client.accepted()
	got.is("state.reported.mode", "eco")
	got.is("state.delta", map[string]any{"interval": 90.0})

	client.do(`{"do":"delete"}`)
	client.accepted().is("version", got.Version)
	client.do(`{"do":"get"}`)
	client.refused(404)
}

// shadowClient is the running client.
type shadowClient struct {
	t     *testing.T
	stdin io.Writer
	said  chan told
}

// told is one line of it.
type told struct {
	t         *testing.T
	Event     string
	Status    string
	Operation string
	Error     any
	State     map[string]any
	Version   float64 `json:"-"` // of State
}

func startShadowClient(t *testing.T, dir string, port int, a *pki.Authority, thing string) *shadowClient {
	t.Helper()
	pair, err := a.Device(thing, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	options, err := json.Marshal(map[string]any{
		"host": "127.0.0.1", "port": port, "clientId": thing,
		"caPath": a.CAFile(), "certPath": pair.CertFile, "keyPath": pair.KeyFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("node", "client.js", string(options))
	command.Dir, command.Stderr = dir, os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := &shadowClient{t: t, stdin: stdin, said: make(chan told, 100)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(c.said)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			line := told{t: t}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				line.Event, line.Error = "nonsense", lines.Text()
			}
			line.Version, _ = line.State["version"].(float64)
			c.said <- line
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		kill := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
		defer kill.Stop()
		<-read
		if err := command.Wait(); err != nil {
			t.Errorf("the client at its end: %v", err)
		}
	})
	return c
}

func (c *shadowClient) do(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.stdin, line); err != nil {
		c.t.Fatalf("tell the client %s: %v", line, err)
	}
}

// expect is the next thing that the client reports: this event, or any if it is
// empty.
func (c *shadowClient) expect(event string) told {
	c.t.Helper()
	select {
	case line, ok := <-c.said:
		if !ok || line.Error != nil || event != "" && line.Event != event {
			c.t.Fatalf("the client reports %+v instead of %s", line, event)
		}
		return line
	case <-time.After(patience):
		c.t.Fatalf("the client does not tell of %s", event)
		return told{}
	}
}

// expectAll is the next things that the client reports, in any order: the broker
// keeps the order within one subscription only, and the library has several.
func (c *shadowClient) expectAll(events ...string) map[string]told {
	c.t.Helper()
	all := map[string]told{}
	for range events {
		line := c.expect("")
		all[line.Event] = line
	}
	for _, event := range events {
		if _, ok := all[event]; !ok {
			c.t.Fatalf("the client reports %+v, and not %s", all, event)
		}
	}
	return all
}

func (c *shadowClient) accepted() told {
	c.t.Helper()
	line := c.expect("status")
	if line.Status != "accepted" {
		c.t.Fatalf("not accepted: %+v", line)
	}
	return line
}

func (c *shadowClient) refused(code float64) {
	c.t.Helper()
	line := c.expect("status")
	if line.Status != "rejected" || line.State["code"] != code || line.State["message"] == "" {
		c.t.Fatalf("want it refused with %v: %+v", code, line)
	}
}

// is compares a value in what was reported: "state.reported.interval".
func (l told) is(path string, want any) {
	l.t.Helper()
	if got := at(l.State, path); !reflect.DeepEqual(got, want) {
		l.t.Errorf("%s %s: %s is %v, want %v", l.Event, l.Status, path, got, want)
	}
}

func at(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	return v
}
