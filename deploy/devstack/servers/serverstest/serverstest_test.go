package serverstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/internal/testserver"
)

// recorder keeps how a test would end, and goes on.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper()         {}
func (r *recorder) Skip(why ...any) { r.said = append(r.said, "skip: "+fmt.Sprint(why...)) }
func (r *recorder) Fatal(why ...any) {
	r.said = append(r.said, "fatal: "+fmt.Sprint(why...))
}

// A server that is not installed skips a test, with the line that installs it, but
// never where servers are required.
func TestNeed(t *testing.T) {
	missing := fmt.Errorf("start: %w", &servers.NotInstalledError{Name: "influxdb"})
	for _, c := range []struct {
		required string
		err      error
		want     string
	}{
		{"", nil, ""},
		{"", missing, "skip: start: influxdb is not installed: run make servers ONLY=influxdb"},
		{"1", missing, "fatal: start: influxdb is not installed: run make servers ONLY=influxdb"},
		{"", servers.ErrNotRoot, "skip: boot a machine: only root can do that"},
		{"1", servers.ErrNotRoot, "fatal: boot a machine: only root can do that"},
		{"", errors.New("no port"), "fatal: no port"},
		{"1", nil, ""},
	} {
		t.Setenv(testserver.Required, c.required)
		r := &recorder{TB: t}
		Need(r, c.err)
		if got := strings.Join(r.said, ", "); got != c.want {
			t.Errorf("required %q, %v: %q, want %q", c.required, c.err, got, c.want)
		}
	}
}

// What tests and chaos do to an InfluxDB has its effect, and is undone.
func TestInfluxDB(t *testing.T) {
	i := InfluxDB(t, process.NewPortPool(), 0)
	at := time.Now().Add(-3 * time.Hour)
	write := func(ctx context.Context, device string) int {
		t.Helper()
		line := fmt.Sprintf("pump,device=%s temperature=20 %d", device, at.UnixNano())
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL()+"/api/v2/write?org="+servers.InfluxOrg+"&bucket="+servers.InfluxBucket, strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Token "+i.WriteToken)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	expect := func(what string, want int) {
		t.Helper()
		if got := write(t.Context(), strings.ReplaceAll(what, " ", "-")); got != want {
			t.Errorf("%s: status %d, want %d", what, got, want)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect("at first", 204)
	do(i.AllowWriting(t.Context(), false))
	expect("without token", 403)
	do(i.AllowWriting(t.Context(), true))
	expect("with token", 204)
	do(i.RenameBucket(t.Context(), "away"))
	expect("without bucket", 404)
	do(i.RenameBucket(t.Context(), servers.InfluxBucket))
	expect("with bucket", 204)
	do(i.Pause())
	time.Sleep(100 * time.Millisecond) // a signal stops threads one after the other
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	if got := write(ctx, "paused"); got != 0 {
		t.Errorf("paused: status %d", got)
	}
	cancel()
	do(i.Resume())
	expect("resumed", 204)
	i.Kill()
	expect("killed", 0)
	do(i.Start(t.Context()))
	expect("started again", 204)
	do(i.Stop())
	do(i.Start(t.Context()))

	series, err := i.Query(t.Context(), `SELECT temperature FROM pump GROUP BY device`)
	do(err)
	found := map[string]bool{}
	for _, s := range series {
		var ns int64
		if err := json.Unmarshal(s.Values[0][0], &ns); err != nil || ns != at.UnixNano() {
			t.Errorf("time of %v: %d, %v; want %d", s.Tags, ns, err, at.UnixNano())
		}
		found[s.Tags["device"]] = true
	}
	for _, device := range []string{"at-first", "with-token", "with-bucket", "resumed", "started-again"} {
		if !found[device] {
			t.Errorf("%s: its point is not found", device)
		}
	}
	if _, err := i.Query(t.Context(), `SELECT`); err == nil {
		t.Error("half a query is answered")
	}
}
