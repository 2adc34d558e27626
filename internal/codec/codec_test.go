package codec

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

func newLine(t *testing.T, id string) string {
	t.Helper()
	line, err := NewKey(id)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func write(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func open(t *testing.T, lines ...string) *Codec {
	t.Helper()
	c, err := ReadKeys(write(t, lines...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func payload(text string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain"), "x": []byte("y")}, Data: []byte(text)}
}

func seal(t *testing.T, c *Codec, p *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	out, err := c.Encode([]*commonpb.Payload{p})
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func TestRoundTrip(t *testing.T) {
	c := open(t, "# keys", "", newLine(t, "k1"))
	for _, text := range []string{"", "secret reading", strings.Repeat("long ", 100_000)} {
		plain := payload(text)
		first, second := seal(t, c, plain), seal(t, c, plain)
		if bytes.Equal(first.Data, second.Data) {
			t.Error("the same payload is encrypted alike twice")
		}
		raw, err := proto.Marshal(first)
		if err != nil || text != "" && bytes.Contains(raw, []byte(text)) || bytes.Contains(raw, []byte("json/plain")) {
			t.Errorf("%.20q: it can be read, or error %v", text, err)
		}
		got, err := c.Decode([]*commonpb.Payload{first, second})
		if err != nil || !proto.Equal(got[0], plain) || !proto.Equal(got[1], plain) {
			t.Errorf("%.20q: got %.100v, %v", text, got, err)
		}
	}
	// What was there before encryption was turned on.
	old := payload("in the clear")
	if got, err := c.Decode([]*commonpb.Payload{old}); err != nil || !proto.Equal(got[0], old) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestRotation(t *testing.T) {
	one, two := newLine(t, "k1"), newLine(t, "k2")
	before, during, after := open(t, one), open(t, two, one), open(t, two)
	old := seal(t, before, payload("old"))
	if got, err := during.Decode([]*commonpb.Payload{old}); err != nil || string(got[0].Data) != "old" {
		t.Errorf("an older key does not decrypt: %v", err)
	}
	renewed := seal(t, during, payload("new"))
	if id := string(renewed.Metadata[metaKeyID]); id != "k2" {
		t.Errorf("encrypted with %s, and not with the first key", id)
	}
	if got, err := after.Decode([]*commonpb.Payload{renewed}); err != nil || string(got[0].Data) != "new" {
		t.Errorf("the new key alone does not decrypt: %v", err)
	}
	if _, err := after.Decode([]*commonpb.Payload{old}); err == nil || !strings.Contains(err.Error(), `no key "k1"`) {
		t.Errorf("without its key: %v", err)
	}
}

func TestTampering(t *testing.T) {
	one := newLine(t, "k1")
	c := open(t, one, "k2 "+strings.Fields(one)[1]) // another name for the same key
	sealed := seal(t, c, payload("reading"))
	for name, change := range map[string]func(p *commonpb.Payload){
		"salt":       func(p *commonpb.Payload) { p.Data[0] ^= 1 },
		"nonce":      func(p *commonpb.Payload) { p.Data[saltBytes] ^= 1 },
		"ciphertext": func(p *commonpb.Payload) { p.Data[saltBytes+12] ^= 1 },
		"tag":        func(p *commonpb.Payload) { p.Data[len(p.Data)-1] ^= 1 },
		"cut":        func(p *commonpb.Payload) { p.Data = p.Data[:len(p.Data)-1] },
		"too short":  func(p *commonpb.Payload) { p.Data = p.Data[:3] },
		"empty":      func(p *commonpb.Payload) { p.Data = nil },
		"key id":     func(p *commonpb.Payload) { p.Metadata[metaKeyID] = []byte("k2") },
		"no key id":  func(p *commonpb.Payload) { delete(p.Metadata, metaKeyID) },
	} {
		changed := proto.Clone(sealed).(*commonpb.Payload)
		change(changed)
		if got, err := c.Decode([]*commonpb.Payload{changed}); err == nil {
			t.Errorf("%s: decrypted to %v", name, got)
		}
	}
}

// Messages and stacks of failures tell as much as payloads do.
func TestFailuresAreEncrypted(t *testing.T) {
	data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), open(t, newLine(t, "k1")))
	failures := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: data, EncodeCommonAttributes: true})
	failure := failures.ErrorToFailure(temporal.NewApplicationError("webhook of customer Meyer refused", "Refused", "detail of Meyer"))
	raw, err := proto.Marshal(failure)
	if err != nil || bytes.Contains(raw, []byte("Meyer")) {
		t.Errorf("the failure can be read, or error %v: %v", err, failure)
	}
	var application *temporal.ApplicationError
	if err := failures.FailureToError(failure); !errors.As(err, &application) || application.Message() != "webhook of customer Meyer refused" {
		t.Errorf("got %v", err)
	}
}

func TestFaultsOfKeyFiles(t *testing.T) {
	good := newLine(t, "k1")
	secret := strings.Fields(good)[1]
	for _, tt := range []struct {
		name  string
		lines []string
		says  []string
	}{
		{"empty", nil, []string{"expected 1 to 1000 keys, found 0"}},
		{"all faults", []string{good, "bad/id " + secret, "k2 short", "k3", good}, []string{":2: key id", `:3: key "k2": expected 32 bytes`, `:4: key "k3"`, `:5: key "k1" is there twice`}},
	} {
		_, err := ReadKeys(write(t, tt.lines...))
		for _, says := range tt.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: got %v, and not %q", tt.name, err, says)
			}
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error contains a key", tt.name)
		}
	}
	if _, err := ReadKeys("/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := NewKey("a b"); err == nil {
		t.Error("a bad id was taken")
	}
}
