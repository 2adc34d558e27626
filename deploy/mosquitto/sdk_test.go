package mosquitto

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"devicetwin/internal/brokertest"
	"devicetwin/internal/npmtest"
	"devicetwin/internal/testfile"
)

// sdkClient installs the client in the folder sdk_client, and returns where. Its library
// for this system is in the package, so that no script of it has to run.
func sdkClient(t *testing.T) string {
	t.Helper()
	return npmtest.Install(t, "sdk_client")
}

// said is one line of the client.
type said struct {
	Event, Topic, Reason string
	Granted, Error       int
}

// sdk runs the client, and returns what it said, in order.
func sdk(t *testing.T, dir string, options map[string]any) []said {
	t.Helper()
	raw, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", "client.js", string(raw))
	command.Dir, command.Stderr = dir, t.Output()
	out, err := command.Output()
	if err != nil {
		t.Errorf("the client: %v; it said\n%s", err, out)
	}
	var all []said
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var line said
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		all = append(all, line)
	}
	return all
}

// A device on the SDK for AWS IoT of generation 2, with its defaults: it says in its
// user name which library it uses, and sends no password. Its certificate counts.
func TestSDKForAWSIoT(t *testing.T) {
	dir := sdkClient(t)
	a := newAuthority(t)
	open, b := startTLS(t, a, "plugin_opt_certificates true")
	a.device("pump-1")
	options := func(id string) map[string]any {
		port, _ := strconv.Atoi(b.port)
		return map[string]any{
			"host": "localhost", "port": port, "clientId": id,
			"ca": a.file("ca.pem"), "cert": a.file("pump-1.pem"), "key": a.file("pump-1.key"),
		}
	}
	bridge := open.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.Subscribe(brokertest.Grammar(t).Filters()...)

	const own, foreign = "$aws/things/pump-1/shadow/get/accepted", "$aws/things/pump-2/shadow/get/accepted"
	use := options("pump-1")
	use["subscribe"], use["publish"] = []string{own, foreign}, []string{"$aws/things/pump-1/shadow/get"}
	got := sdk(t, dir, use)
	if len(got) != 4 || got[0].Event != "connected" || got[1].Granted != 1 || got[2].Granted == 1 || got[3].Event != "published" {
		t.Errorf("a device with a certificate: %+v", got)
	}
	select {
	case m := <-bridge.Got:
		if m != "$aws/things/pump-1/shadow/get {}" {
			t.Errorf("the bridge got %s", m)
		}
	case <-time.After(10 * time.Second):
		t.Error("the bridge got nothing")
	}
	if got := sdk(t, dir, options("pump-2")); len(got) != 1 || got[0].Event != "refused" {
		t.Errorf("the session of another device: %+v", got)
	}
}

// Without a certificate, the SDK is a client that names nobody.
func TestSDKForAWSIoTWithoutCertificate(t *testing.T) {
	dir := sdkClient(t)
	client := func(port string, topics ...string) []said {
		number, _ := strconv.Atoi(port)
		return sdk(t, dir, map[string]any{"host": "localhost", "port": number, "clientId": "pump-1", "subscribe": topics, "publish": topics, "await": len(topics) > 0})
	}
	acl := testfile.Write(t, "acl", "topic readwrite open/#\n")
	anybody := start(t, "allow_anonymous true", "acl_file "+acl)
	if got := client(anybody.port, "open/x"); len(got) != 4 || got[3] != (said{Event: "message", Topic: "open/x"}) {
		t.Errorf("where everybody may come in: %+v", got)
	}
	if got := client(start(t).port); len(got) != 1 || got[0].Event != "refused" {
		t.Errorf("where nobody is anonymous: %+v", got)
	}
	if first := connectOf(t, func(port string) { client(port) }); !bytes.Contains(first, []byte("?SDK=")) {
		t.Errorf("the SDK no longer sends the user name that this test is about: %q", first)
	}
}

// connectOf is the CONNECT that a client sends to a port.
func connectOf(t *testing.T, connect func(port string)) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := make(chan []byte, 1)
	go func() {
		raw := make([]byte, 1000)
		n := 0
		if conn, err := l.Accept(); err == nil {
			n, _ = conn.Read(raw)
			conn.Close()
		}
		first <- raw[:n]
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	connect(port)
	return <-first
}
