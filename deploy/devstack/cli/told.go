package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"time"

	"devicetwin/service"
)

// told is a receiver of notifications that makes a line of each, so that a demo shows what
// people would be notified of.
type told struct {
	server *http.Server
	notes  chan string
}

// keptNotes is how many lines wait to be shown. Of more, the newest are dropped.
const keptNotes = 100

// newTold starts a receiver for those names for which the settings have none, and enters it there.
func newTold(settings *service.WorkerSettings, names []string) (*told, error) {
	t := &told{notes: make(chan string, keptNotes)}
	receivers := map[string]string{}
	maps.Copy(receivers, settings.Notify)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for notifications: %w", err)
	}
	for _, name := range names {
		if _, ok := receivers[name]; !ok {
			receivers[name] = "http://" + listener.Addr().String()
		}
	}
	settings.Notify = receivers
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: time.Minute}
	go func() { _ = t.server.Serve(listener) }()
	return t, nil
}

func (t *told) Close() { _ = t.server.Close() }

// ServeHTTP takes a notification.
func (t *told) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n struct {
		Device, To string
		Data       json.RawMessage
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	line := fmt.Sprintf("notified   %s, by %s", n.To, n.Device)
	if len(n.Data) > 0 && string(n.Data) != "null" {
		line += ": " + string(n.Data)
	}
	select {
	case t.notes <- line:
	default:
	}
}
