package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"devicetwin/service"
)

// influxTee passes on what is written to each of several InfluxDBs: one run of a stack
// shows what each of them makes of it.
type influxTee []influxTarget

// start returns where to write to, until the test ends.
func (all influxTee) start(t *testing.T) service.InfluxServer {
	t.Helper()
	server := httptest.NewServer(all)
	t.Cleanup(server.Close)
	return service.InfluxServer{URL: server.URL, Bucket: "all"}
}

// ServeHTTP has the status of the first that does not take the points. Who writes repeats
// them then, which changes nothing in the others.
func (all influxTee) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, to := range all {
		if status, said := to.pass(r, body); !slices.Contains([]int{http.StatusOK, http.StatusNoContent}, status) {
			http.Error(w, said, status)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// pass sends a request to this InfluxDB, and to its bucket.
func (i influxTarget) pass(r *http.Request, body []byte) (status int, said string) {
	query := r.URL.Query()
	query.Set("org", i.Org)
	query.Set("bucket", i.Bucket)
	request, err := http.NewRequestWithContext(r.Context(), r.Method, i.URL+r.URL.Path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	request.Header = r.Header.Clone()
	request.Header.Del("Authorization")
	if i.Token != "" {
		request.Header.Set("Authorization", "Token "+i.Token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return http.StatusBadGateway, err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return http.StatusBadGateway, err.Error()
	}
	return response.StatusCode, string(answer)
}
