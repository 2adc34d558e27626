package process

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/here" {
			http.Error(w, "no such page", http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte("hello"))
	}))
	defer server.Close()
	if body, err := Get(t.Context(), server.URL+"/here"); err != nil || body != "hello" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := Get(t.Context(), server.URL+"/there"); err == nil || !strings.HasSuffix(err.Error(), "/there: no such page") {
		t.Errorf("a page that is not there: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	got := Metrics("# HELP a what it is\n# TYPE a counter\na 2\nb{reason=\"x\"} 1\nb{reason=\"y\"} 2.5\nnothing\n")
	if want := (map[string]float64{"a": 2, "b": 3.5}); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
