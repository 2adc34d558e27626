package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"devicetwin/device"
)

// lock locks the row of a device, as somebody's open transaction does, until it is
// released.
func lock(t *testing.T, where string, id device.ID) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	release = func() { _ = conn.Close(context.Background()) }
	t.Cleanup(release)
	if _, err = conn.Exec(t.Context(), `BEGIN; SELECT FROM devicetwin_credentials WHERE device = '`+string(id)+`' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	return release
}

// An error that is about one device refuses that device, soon, and nobody else is
// checked by heart because of it.
func TestARowThatIsLocked(t *testing.T) {
	where := database(t)
	worker := wrapped{opened(t, where), t}
	held, next, other := worker.issue("d", "c1"), worker.issue("d", "c2"), worker.issue("other", "c1")
	broker, counts := follows(t, where, 2)
	if !broker.good("d", held) {
		t.Fatal("a good secret was refused")
	}
	release := lock(t, where, "d")
	began := time.Now()
	if good, err := broker.Check(t.Context(), "d", next); good || err == nil || errors.Is(err, ErrDown) {
		t.Errorf("what cannot be written: %v, %v", good, err)
	}
	if took := time.Since(began); took > checkWithin {
		t.Errorf("it took %v", took)
	}
	// Again and again, more of them at once than there are connections.
	var all sync.WaitGroup
	done := make(chan struct{})
	for range 8 * poolMax {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = broker.Check(t.Context(), "d", next)
				}
			}
		})
	}
	for range 20 {
		if !broker.good("other", other) || !broker.good("d", held) || broker.good("d", "wrong") {
			t.Error("a device whose row need not be written waits for another one")
		}
	}
	close(done)
	all.Wait()
	if counts.down.Load() || counts.recalled.Load()+counts.refused.Load() > 0 {
		t.Errorf("down %v, checked by heart: %d and %d", counts.down.Load(), counts.recalled.Load(), counts.refused.Load())
	}
	release()
	eventually(t, "let in", func() bool {
		good, _ := broker.Check(t.Context(), "d", next)
		return good
	})
	if broker.good("d", held) {
		t.Error("older credentials are good")
	}
}

// What a device used while PostgreSQL was down is written when it can be; a row that is
// locked holds up neither the others, nor the way back.
func TestBackWithARowThatIsLocked(t *testing.T) {
	where := database(t)
	relay := startRelay(t, shared.Addr())
	worker := wrapped{opened(t, where), t}
	type secrets struct{ held, next string }
	of := map[device.ID]secrets{}
	for _, id := range []device.ID{"locked", "free", "revoked", "newer"} {
		of[id] = secrets{worker.issue(id, "c1"), worker.issue(id, "c2")}
	}
	newer := worker.issue("newer", "c3")
	broker, counts := follows(t, strings.Replace(where, shared.Addr(), relay.Addr().String(), 1), len(of))
	told := make(chan device.ID, 10)
	if err := broker.Watch(t.Context(), func(id device.ID) { told <- id }); err != nil {
		t.Fatal(err)
	}
	relay.dead.Store(true)
	for id, s := range of {
		if !broker.good(id.Name(), s.next) {
			t.Errorf("device %s is locked out", id)
		}
	}
	release := lock(t, where, "locked")
	if _, err := worker.Revoke(t.Context(), []device.ID{"revoked"}); err != nil {
		t.Fatal(err)
	}
	if !worker.good("newer", newer) {
		t.Fatal("a good secret was refused")
	}
	relay.dead.Store(false)
	eventually(t, "back", func() bool { return !counts.down.Load() })
	select {
	case id := <-told:
		if id != "revoked" {
			t.Errorf("got %s", id)
		}
	case <-time.After(20 * time.Second):
		t.Error("a revocation is not seen")
	}
	if broker.good("revoked", of["revoked"].next) || broker.good("locked", of["locked"].held) || !broker.good("locked", of["locked"].next) || broker.good("newer", of["newer"].next) {
		t.Error("it checks by something else than what it knows, and what is written")
	}
	eventually(t, "the others written", func() bool { return counts.unwritten.Load() == 1 })
	if r, _ := worker.record("free"); r.Used != "c2" || worker.good("free", of["free"].held) {
		t.Errorf("written is %+v", r)
	}
	if counts.down.Load() {
		t.Error("it is down again")
	}
	release()
	eventually(t, "all written", func() bool { return counts.unwritten.Load() == 0 })
	if worker.good("locked", of["locked"].held) || !worker.good("locked", of["locked"].next) {
		t.Error("other processes take other credentials")
	}
	if r, _ := worker.record("newer"); r.Used != "c3" || !worker.good("newer", newer) {
		t.Errorf("what was used elsewhere is undone: %+v", r)
	}
}

// A process that is gone while it has a row locked does not keep others from it for
// longer than the server waits for it.
func TestATransactionThatRests(t *testing.T) {
	where := database(t)
	gone, worker := opened(t, where).(*postgres), wrapped{opened(t, where), t}
	worker.issue("d", "c1")
	resting, over := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- gone.change(t.Context(), waits{time.Minute, time.Second, 100 * time.Millisecond}, []string{"d"}, false, func(*Record, bool) error {
			close(resting)
			<-over
			return nil
		})
	}()
	<-resting
	if _, err := worker.Issue(t.Context(), "d", "c2"); err != nil {
		t.Errorf("the row stays locked: %v", err)
	}
	close(over)
	if err := <-ended; err == nil {
		t.Error("it was committed")
	}
	for _, w := range []waits{ofLogin, ofChange} {
		if w.lock >= w.all || w.idle <= 0 {
			t.Errorf("%+v", w)
		}
	}
	if ofChange.lock <= ofChange.idle {
		t.Error("a change fails because of a process that is gone")
	}
}

// Whoever watches revocations ends sessions, and the device may be back before the
// call returns: it must not be let in by what was known before.
func TestARevocationIsKnownBeforeSessionsEnd(t *testing.T) {
	where := database(t)
	relay := startRelay(t, shared.Addr())
	worker := wrapped{opened(t, where), t}
	secret := worker.issue("d", "c1")
	broker, counts := follows(t, strings.Replace(where, shared.Addr(), relay.Addr().String(), 1), 1)
	again := make(chan bool, 10)
	err := broker.Watch(t.Context(), func(id device.ID) {
		good, _ := broker.Check(t.Context(), id.Name(), secret)
		revoked, err := broker.Revoked(t.Context(), id.Name())
		again <- good || !revoked || err != nil
	})
	if err != nil {
		t.Fatal(err)
	}
	relay.dead.Store(true)
	eventually(t, "down", func() bool { return counts.down.Load() })
	if _, err := worker.Revoke(t.Context(), []device.ID{"d"}); err != nil {
		t.Fatal(err)
	}
	relay.dead.Store(false)
	select {
	case in := <-again:
		if in {
			t.Error("the device is in again")
		}
	case <-time.After(20 * time.Second):
		t.Error("nobody saw the revocation")
	}
}

func TestErrorsOfADatabaseThatIsDown(t *testing.T) {
	server := func(code string) error { return fmt.Errorf("write: %w", &pgconn.PgError{Code: code}) }
	_, refused := pgx.Connect(t.Context(), "postgres://u@127.0.0.1:1/d?sslmode=disable")
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"nobody listens", refused, true},
		{"no answer in time", late.Err(), true},
		{"connection lost", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{"connection failure", server("08006"), true},
		{"shutdown", server("57P01"), true},
		{"start", server("57P03"), true},
		{"a lock", server("55P03"), false},
		{"a statement that takes too long", server("57014"), false},
		{"a transaction that rests", server("25P03"), false},
		{"a right", server("42501"), false},
		{"no room", server("53100"), false},
		{"a row that cannot be read", errors.New("can't scan"), false},
	} {
		if got := unreachable(tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// To another host, nothing goes in the clear unless somebody says so.
func TestSecurityOfTheURL(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for where, good := range map[string]bool{
		"postgres://u@127.0.0.1/d": true, "postgres://u@localhost:5432/d": true, "postgres://u@[::1]/d": true, "postgres://u@/d?host=/var/run/postgresql": true,
		"postgres://u@db.example.org/d?sslmode=disable": true, "postgres://u@db.example.org/d?sslmode=prefer": true, "postgres://u@db.example.org/d?sslmode=verify-full": true,
		"postgres://u@db.example.org/d": false, "postgres://u@10.0.0.7:5432/d": false, "postgres://u@127.0.0.1:5432,10.0.0.7:5432/d": false, "postgresql://u@/d?host=db.example.org": false,
	} {
		s, err := Open(where)
		if err == nil {
			s.Close()
		}
		if (err == nil) != good || err != nil && (!strings.Contains(err.Error(), "sslmode=verify-full") || !strings.Contains(err.Error(), "sslmode=disable")) {
			t.Errorf("%s: %v", where, err)
		}
	}
	t.Setenv("PGSSLMODE", "disable")
	opened(t, "postgres://u@db.example.org/d")
}
