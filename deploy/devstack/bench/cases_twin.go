package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"devicetwin/deploy/devstack/process"
)

const (
	twins     = 100
	twinRate  = 100 // updates a second over all
	thing     = "$aws/things/"
	shadow    = "/shadow/update"
	heardWord = "/accepted"
)

// report is an update of reported properties, numbered by its client token.
func report(a *account, b []byte) []byte {
	b = append(b, `{"state":{"reported":{"temperature":`...)
	b = strconv.AppendUint(b, 20+a.sent()%50, 10)
	b = append(b, `}},"clientToken":"`...)
	b = strconv.AppendUint(b, a.sent(), 10)
	return append(b, `"}`...)
}

// answers are what came back, by the device.
type answers struct {
	mu     sync.Mutex
	at     map[string][]time.Time
	faults []string
}

// look takes an accepted update: each has to be the next one, and to raise the
// version by one.
func (w *answers) look(topic, payload []byte) {
	now := time.Now()
	id := strings.TrimSuffix(strings.TrimPrefix(string(topic), thing), shadow+heardWord)
	var answer struct {
		Version     int    `json:"version"`
		ClientToken string `json:"clientToken"`
	}
	err := json.Unmarshal(payload, &answer)
	w.mu.Lock()
	defer w.mu.Unlock()
	next := len(w.at[id]) + 1
	if err != nil || answer.Version != next || answer.ClientToken != strconv.Itoa(next) {
		w.faults = append(w.faults, fmt.Sprintf("device %s: answer %s, expected version and token %d", id, payload, next))
	}
	w.at[id] = append(w.at[id], now)
}

func (w *answers) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.at {
		n += len(at)
	}
	return n
}

// playTwin is the device shadow protocol: updates of devices, until the answer
// has come back over the broker.
func (r *run) playTwin(ctx context.Context) error {
	s, err := r.startSystem(ctx, caseTwin, setting{model: "counter.yaml"})
	defer s.close()
	if err != nil {
		return err
	}
	if err := s.introduce(ctx, newAccounts("dev", twins, "events/tick"), tick); err != nil {
		return err
	}
	heard := &answers{at: map[string][]time.Time{}}
	sub, err := newSubscriber(ctx, s.At(process.Broker), "answers", thing+"+"+shadow+heardWord, heard.look)
	if err != nil {
		return err
	}
	defer sub.close()
	devices := newAccounts("dev", twins, "")
	for _, a := range devices {
		a.topic = thing + a.id + shadow
	}
	l := &load{devices: devices, say: report, conns: connections, rate: twinRate}
	sp, err := s.play(ctx, caseTwin, l, r.warmUp(), r.Lasts)
	if err != nil {
		return err
	}
	_, err = process.Drain(ctx, 20*time.Millisecond, func(context.Context) (int, error) {
		return int(l.sent.Load()) - heard.count(), nil
	})
	if err != nil {
		return err
	}
	row := Row{Case: caseTwin, What: "shadow updates, until each is accepted", Devices: twins, Unit: "updates/s"}
	sp.into(&row)
	if row.Faults, err = s.noDeadLetters(ctx); err != nil {
		return err
	}
	heard.into(&row, devices, sp)
	r.add(row)
	return nil
}

// into compares the answers with the updates.
func (w *answers) into(row *Row, devices []*account, sp span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	row.Faults = append(row.Faults, w.faults...)
	d := &durable{}
	for _, a := range devices {
		at := w.at[a.id]
		if uint64(len(at)) != a.sent() {
			row.Faults = append(row.Faults, fmt.Sprintf("device %s: %d updates, %d accepted", a.id, a.sent(), len(at)))
		}
		for i, due := range a.due[:min(len(a.due), len(at))] {
			d.at = append(d.at, at[i])
			if began := time.Unix(0, due); !began.Before(sp.from) {
				d.delays = append(d.delays, delay{began, max(0, at[i].Sub(began))})
			}
		}
	}
	d.sort()
	row.Value = float64(d.between(sp.from, sp.to)) / sp.seconds
	p50, p99 := d.latency(0.5), d.latency(0.99)
	row.P50, row.P99 = &p50, &p99
	row.Remark = "its latency ends when the device's side has received accepted"
}
