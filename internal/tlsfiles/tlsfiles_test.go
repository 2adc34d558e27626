package tlsfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryFaultIsReported(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.pem")
	if err := os.WriteFile(text, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		files Files
		names Names
		want  []string
	}{
		"nothing to read": {files: Files{}},
		"not there": {Files{"/nowhere/ca.pem", "/nowhere/c.pem", "/nowhere/k.pem"}, Names{Server: "mqtt"}, []string{
			"read the mqtt certificate authority: open /nowhere/ca.pem", "read the mqtt client certificate: open /nowhere/c.pem"}},
		"no PEM, no key": {Files{CA: text, Cert: text}, Names{"Temporal", "--temporal"}, []string{
			"read the Temporal certificate authority (--temporal-ca-file): no PEM certificate in " + text,
			"Temporal client certificate and key (--temporal-cert-file, --temporal-key-file): expected both or neither"}},
	} {
		config, err := test.files.Load(test.names)
		if len(test.want) == 0 {
			if err != nil || config == nil || config.RootCAs != nil {
				t.Errorf("%s: %v, %v", name, config, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(test.want) {
			t.Errorf("%s: %q", name, lines)
			continue
		}
		for i, want := range test.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%s: got %q, want %q", name, lines[i], want)
			}
		}
	}
}
