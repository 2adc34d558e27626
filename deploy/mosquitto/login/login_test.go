package login

import (
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/auth"
	"devicetwin/auth/authtest"
	"devicetwin/internal/credentials"
	"devicetwin/internal/testfile"
)

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	store, err := credentials.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := store.Issue(t.Context(), "pump-1", "c1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Settings{
		{"credentials", dir}, {"services", testfile.Write(t, "accounts", "devicetwin.bridge:"+authtest.Hash("open")+"\n")}, {"certificates", "true"},
		{"topic_prefix", "things"}, {"twin_topics", "a/{id}/s[/{shadow}],b/{id}/s[/{shadow}]"}, {"allow", "publish tele/{id}/#"}, {"allow", "subscribe news/#"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Certificates {
		t.Error("certificates do not count")
	}
	for _, l := range []auth.Login{{Client: "pump-1", Username: "pump-1", Password: secret}, {Client: "x", Username: "devicetwin.bridge", Password: "open"}} {
		if _, err := c.Login(t.Context(), l); err != nil {
			t.Error(err)
		}
	}
	pump := auth.Client{Device: "pump-1"}
	for topic, want := range map[string]bool{
		"things/pump-1/telemetry": true, "a/pump-1/s/get": true, "b/pump-1/s/get": true, "tele/pump-1/x": true, "devices/pump-1/telemetry": false,
	} {
		if c.MayPublish(pump, topic) != want {
			t.Errorf("publish to %s: want %v", topic, want)
		}
	}
	if !c.MaySubscribe(pump, "news/#") {
		t.Error("the second rule is not used")
	}
}

func TestFaultsOfTheSettings(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name     string
		settings Settings
		says     string
	}{
		{"no folder", nil, "plugin_opt_credentials is missing"},
		{"folder that is not there", Settings{{"credentials", filepath.Join(dir, "none")}}, "none"},
		{"no file", Settings{{"credentials_file", filepath.Join(dir, "none")}}, "plugin_opt_credentials_file"},
		{"nothing in the file", Settings{{"credentials_file", testfile.Write(t, "url", "\n")}}, "plugin_opt_credentials is missing"},
		{"bad URL", Settings{{"credentials_file", testfile.Write(t, "url", "postgres://u:pa55@h:x/d")}}, "expected postgres://"},
		{"unknown option", Settings{{"credentials", dir}, {"files", "x"}}, "plugin_opt_files: no such option"},
		{"no accounts", Settings{{"credentials", dir}, {"services", filepath.Join(dir, "none")}}, "read accounts"},
		{"no hash", Settings{{"credentials", dir}, {"services", testfile.Write(t, "accounts", "a.b:secret\n")}}, ":1: expected NAME:SHA256"},
		{"rule", Settings{{"credentials", dir}, {"allow", "publish #"}}, `rule "publish #"`},
		{"prefix", Settings{{"credentials", dir}, {"topic_prefix", "a/#"}}, `topic prefix "a/#"`},
		{"switch", Settings{{"credentials", dir}, {"certificates", "maybe"}}, "expected true or false"},
	} {
		if _, err := New(tt.settings); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, and not %q", tt.name, err, tt.says)
		}
	}
	if _, err := New(Settings{{"credentials", dir}}); err != nil {
		t.Errorf("without services: %v", err)
	}
}
