package callout

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"devicetwin/auth"
	"devicetwin/auth/authtest"
	"devicetwin/internal/natsresume"
	"devicetwin/internal/testfile"
)

// talk is a server without a connection, and a NATS server that asks it.
type talk struct {
	t       *testing.T
	server  *Server
	nats    nkeys.KeyPair
	counted map[auth.Reason]int
}

func newTalk(t *testing.T, certificates bool) *talk {
	t.Helper()
	key, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	d, err := auth.New(auth.DefaultConfig(), authtest.Passwords{"pump-1": "right"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := &talk{t: t, counted: map[auth.Reason]int{}}
	k.server = &Server{ctx: t.Context(), issuer: key, options: Options{
		Decider: d, Account: "$G", Certificates: certificates, Log: slog.New(slog.DiscardHandler),
		Counted: func(_ bool, reason auth.Reason, _ time.Duration) { k.counted[reason]++ },
	}}
	k.server.resume = newResumer(natsresume.Broker{}, k.server.options)
	if k.nats, err = nkeys.CreateServer(); err != nil {
		t.Fatal(err)
	}
	return k
}

// ask returns the user that a client becomes, or nil if it is refused.
func (k *talk) ask(client string, o jwt.ConnectOptions, security *jwt.ClientTLS) *jwt.UserClaims {
	k.t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		k.t.Fatal(err)
	}
	name, _ := user.PublicKey()
	issuer, _ := k.server.issuer.PublicKey()
	q := jwt.NewAuthorizationRequestClaims(issuer)
	q.UserNkey, q.ConnectOptions, q.TLS, q.Server.ID, q.ClientInformation.MQTT = name, o, security, "NSERVER", client
	raw, err := q.Encode(k.nats)
	if err != nil {
		k.t.Fatal(err)
	}
	answered, err := k.server.answer([]byte(raw), func() {})
	if err != nil {
		k.t.Fatal(err)
	}
	a, err := jwt.DecodeAuthorizationResponseClaims(string(answered))
	if err != nil || a.Subject != name || a.Audience != "NSERVER" || a.Issuer != issuer {
		k.t.Fatalf("answered %+v, %v", a, err)
	}
	if a.Error != "" {
		if a.Jwt != "" || strings.Contains(a.Error, "pump") {
			k.t.Errorf("refused with %q", a.Error)
		}
		return nil
	}
	u, err := jwt.DecodeUserClaims(a.Jwt)
	if err != nil || u.Subject != name || u.Audience != "$G" || u.Issuer != issuer {
		k.t.Fatalf("the user is %+v, %v", u, err)
	}
	return u
}

func TestAnswers(t *testing.T) {
	k := newTalk(t, false)
	u := k.ask("pump-1", jwt.ConnectOptions{Username: "pump-1?SDK=x", Password: "right"}, certified(t, "pump-2"))
	if u == nil || u.Name != "pump-1" {
		t.Fatalf("a device became %+v", u)
	}
	for _, want := range []string{"devices.pump-1.telemetry", "$aws.things.pump-1.shadow.name.*.update"} {
		if !slices.Contains(u.Pub.Allow, want) {
			t.Errorf("it may not publish to %s: %v", want, u.Pub.Allow)
		}
	}
	for _, want := range []string{"devices.pump-1.>", "devices.pump-1"} {
		if !slices.Contains(u.Sub.Allow, want) {
			t.Errorf("it may not subscribe to %s: %v", want, u.Sub.Allow)
		}
	}
	for _, s := range slices.Concat(u.Pub.Allow, u.Sub.Allow) {
		if !strings.Contains(s, ".pump-1") {
			t.Errorf("it may use %s", s)
		}
	}
	for _, tt := range []struct {
		name, client string
		options      jwt.ConnectOptions
		want         auth.Reason
	}{
		{"wrong password", "pump-1", jwt.ConnectOptions{Username: "pump-1", Password: "guess"}, auth.ReasonPassword},
		{"session of another", "pump-2", jwt.ConnectOptions{Username: "pump-1", Password: "right"}, auth.ReasonClientID},
		{"a client of NATS itself", "", jwt.ConnectOptions{Username: "pump-1", Password: "right", Name: "pump-1"}, auth.ReasonClientID},
		{"a token", "pump-1", jwt.ConnectOptions{Token: "right"}, auth.ReasonName},
		{"nobody", "pump-1", jwt.ConnectOptions{}, auth.ReasonName},
	} {
		before := k.counted[tt.want]
		if u := k.ask(tt.client, tt.options, nil); u != nil || k.counted[tt.want] != before+1 {
			t.Errorf("%s became %+v; refused: %v", tt.name, u, k.counted)
		}
	}
	if k.counted[""] != 1 {
		t.Errorf("counted %v", k.counted)
	}
	if _, err := k.server.answer([]byte("nonsense"), func() {}); err == nil {
		t.Error("nonsense is answered")
	}
}

// certified is what NATS says of a connection with a verified certificate.
func certified(t *testing.T, name string) *jwt.ClientTLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &jwt.ClientTLS{VerifiedChains: []jwt.StringList{{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}}}
}

func TestCertificates(t *testing.T) {
	k := newTalk(t, true)
	sdk := jwt.ConnectOptions{Username: "?SDK=NodeJSv2&Version=1.28.0"}
	good := certified(t, "pump-9")
	for _, tt := range []struct {
		name, client string
		security     *jwt.ClientTLS
		want         bool
	}{
		{"certificate", "pump-9", good, true},
		{"session of another", "pump-1", good, false},
		{"no TLS", "pump-9", nil, false},
		{"without a certificate", "pump-9", &jwt.ClientTLS{}, false},
		{"one that is not verified", "pump-9", &jwt.ClientTLS{Certs: good.VerifiedChains[0]}, false},
		{"one without a name", "pump-9", certified(t, ""), false},
		{"nonsense", "pump-9", &jwt.ClientTLS{VerifiedChains: []jwt.StringList{{"x"}}}, false},
	} {
		if u := k.ask(tt.client, sdk, tt.security); (u != nil) != tt.want {
			t.Errorf("%s: became %+v", tt.name, u)
		}
	}
}

func TestPermissions(t *testing.T) {
	for filter, want := range map[string]string{
		"a/b": "a.b", "a/+/c": "a.*.c", "a/#": "a.> a", "#": ">", "a/b.c": "a.b//c", "$aws/things/x": "$aws.things.x",
		"/a": "/.a", "a/": "a./", "a//b": "a./.b", "//a/#": "/./.a.> /./.a", // as mqttToNATSSubjectConversion of nats-server 2.15
	} {
		if got := strings.Join(Subjects(filter), " "); got != want {
			t.Errorf("%s is %s, want %s", filter, got, want)
		}
	}
	none := Permissions(nil)
	if !slices.Contains(none.Pub.Deny, ">") || !slices.Contains(none.Sub.Deny, ">") {
		t.Errorf("without rules: %+v: NATS allows everything without permissions", none)
	}
	some := Permissions([]auth.Rule{{Subscribe: true, Filter: "#"}})
	if !slices.Contains(some.Sub.Deny, "$JS.>") || slices.Contains(some.Sub.Deny, ">") || !slices.Contains(some.Pub.Deny, ">") {
		t.Errorf("with everything: %+v", some)
	}
}

// A rule that ends in + allows one level, although NATS takes the # of a subscription for
// one.
func TestRulesThatEndInAnyLevel(t *testing.T) {
	for _, tt := range []struct {
		subscribe string // filters, separated by spaces
		denied    string // subjects, but for those of streams
		fault     bool
	}{
		{"news/+", "", false}, // a/# needs the level above, too
		{"news news/+", "news.*.>", false},
		{"news news/+ news/#", "", false},
		{"news news/+ news/+/#", "", false},
		{"news/+/+ news/+", "news.*.*.>", false},
		{"+", "*.>", false},
		{"a/+/b/+ a/x/b", "", false},
		{"a/+/b/+ a/+/b", "a.*.b.*.>", false},
		{"news news/+ news/x/+ news/x/y/z", "news.*.> news.x.*.>", true},
		{"news news/+ news/x/#", "news.*.>", true},
		{"news news/+ +/x/y", "news.*.>", true},
		{"news news/+ other/x/y devices/{id}/#", "news.*.>", false},
		{"+ devices/{id}/#", "*.>", true},
	} {
		var rules []auth.Rule
		for filter := range strings.FieldsSeq(tt.subscribe) {
			rules = append(rules, auth.Rule{Subscribe: true, Filter: filter}, auth.Rule{Publish: true, Filter: filter + "/x/+"})
		}
		if denied := strings.Join(Permissions(rules).Sub.Deny[len(own):], " "); denied != tt.denied {
			t.Errorf("%s: denied is %q, want %q", tt.subscribe, denied, tt.denied)
		}
		if err := check(rules); (err != nil) != tt.fault {
			t.Errorf("%s: %v", tt.subscribe, err)
		}
	}
	for _, wild := range []string{"*/{id}", "a/{id}/>"} {
		if err := check([]auth.Rule{{Publish: true, Filter: wild}}); err == nil {
			t.Errorf("%s: NATS allows other topics as well", wild)
		}
	}
	c := auth.DefaultConfig()
	c.Allow = []string{"subscribe news", "subscribe news/+", "subscribe news/{id}/#"}
	d, err := auth.New(c, authtest.Passwords{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	account, _ := nkeys.CreateAccount()
	seed, _ := account.Seed()
	if _, err := Start(Options{Decider: d, Seed: string(seed)}); err == nil || !strings.Contains(err.Error(), `"news/+"`) {
		t.Errorf("it starts with rules that NATS takes for one another: %v", err)
	}
}

func TestReadSeed(t *testing.T) {
	user, _ := nkeys.CreateUser()
	wrong, _ := user.Seed()
	account, _ := nkeys.CreateAccount()
	right, _ := account.Seed()
	for content, good := range map[string]bool{string(right) + "\n": true, string(wrong): false, "": false, "SAX": false} {
		if _, err := ReadSeed(testfile.Write(t, "seed", content)); (err == nil) != good {
			t.Errorf("error %v", err)
		} else if err != nil && content != "" && strings.Contains(err.Error(), content) {
			t.Errorf("the error contains the seed: %v", err)
		}
	}
}
