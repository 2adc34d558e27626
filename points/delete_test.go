package points

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deletions is an InfluxDB that gives one answer and keeps the requests.
type deletions struct {
	status int
	body   string
	got    []string
}

func (d *deletions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.got = append(d.got, strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Authorization"), string(body)}, " "))
	w.WriteHeader(d.status)
	io.WriteString(w, d.body)
}

func deleter(t *testing.T, server *deletions, org string) *Deleter {
	t.Helper()
	s := httptest.NewServer(server)
	t.Cleanup(s.Close)
	cfg := DefaultConfig()
	cfg.URL, cfg.Org, cfg.Bucket, cfg.Token = s.URL+"/", org, "twins/week", "u:p"
	d, err := NewDeleter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestRequestsToDeletePoints(t *testing.T) {
	until := time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	for org, tt := range map[string]struct {
		answer deletions
		want   string
	}{
		"": {deletions{200, `{"results":[{"statement_id":0}]}`, nil},
			`POST /query Token u:p db=twins&q=DELETE+WHERE+%22device%22+%3D+%27pump-1%27+AND+time+%3C%3D+%272026-03-01T12%3A00%3A00.0000005Z%27`},
		"factory": {deletions{204, "", nil},
			`POST /api/v2/delete?bucket=twins%2Fweek&org=factory Token u:p {"predicate":"device=\"pump-1\"","start":"1900-01-01T00:00:00Z","stop":"2026-03-01T12:00:00.0000005Z"}`},
	} {
		if err := deleter(t, &tt.answer, org).Delete(t.Context(), "pump-1", until); err != nil {
			t.Errorf("org %q: %v", org, err)
		}
		if len(tt.answer.got) != 1 || tt.answer.got[0] != tt.want {
			t.Errorf("org %q: requests %q\nwant %s", org, tt.answer.got, tt.want)
		}
	}
}

// No name of a device becomes another statement.
func TestNamesAreQuoted(t *testing.T) {
	server := &deletions{status: 200, body: `{"results":[{}]}`}
	if err := deleter(t, server, "").Delete(t.Context(), `a' OR "x" = '\`, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if want := `%27a%5C%27+OR+%22x%22+%3D+%5C%27%5C%5C%27+AND`; !strings.Contains(server.got[0], want) {
		t.Errorf("request %s; want %s", server.got[0], want)
	}
}

// What may change is tried again; what will not is said to be so.
func TestErrorsOfDeletions(t *testing.T) {
	for _, tt := range []struct {
		status    int
		body      string
		permanent bool
		says      string
	}{
		{200, `{"results":[{"statement_id":0,"error":"shard is busy"}]}`, false, "shard is busy"},
		{200, `<html>`, true, "<html>"},
		{200, `{}`, true, "200"},
		{401, `{"error":"unable to parse authentication credentials"}`, false, "credentials"},
		{404, `{"code":"not found","message":"bucket \"x\" not found"}`, false, "bucket"},
		{404, `404 page not found`, true, "page not found"},
		{400, `{"error":"DELETE is not supported"}`, true, "not supported"},
		{405, ``, true, "405"},
		{501, ``, true, "501"},
		{500, `{"code":"internal error"}`, false, "500"},
		{503, ``, false, "503"},
	} {
		err := deleter(t, &deletions{status: tt.status, body: tt.body}, "").Delete(t.Context(), "d", time.Unix(0, 0))
		if err == nil || errors.Is(err, ErrCannotDelete) != tt.permanent || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "device d") {
			t.Errorf("status %d, %s: %v; permanent %v", tt.status, tt.body, err, tt.permanent)
		}
	}
	gone := deleter(t, &deletions{status: 200}, "")
	gone.cfg.URL = "http://127.0.0.1:1"
	if err := gone.Delete(t.Context(), "d", time.Unix(0, 0)); err == nil || errors.Is(err, ErrCannotDelete) {
		t.Errorf("without a server: %v", err)
	}
}
