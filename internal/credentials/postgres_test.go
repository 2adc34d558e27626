package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"devicetwin/device"
	"devicetwin/internal/postgrestest"
	"devicetwin/internal/testlog"
)

// shared is the server of all tests that do not stop it.
var shared struct {
	sync.Mutex
	*postgrestest.Server
	databases int
}

// lasting is a test that ends with all of them.
type lasting struct {
	testing.TB
	cleanups []func()
}

func (l *lasting) Cleanup(f func()) { l.cleanups = append(l.cleanups, f) }

var process lasting

func TestMain(m *testing.M) {
	m.Run()
	for _, f := range slices.Backward(process.cleanups) {
		f()
	}
}

// database is the URL of a new database.
func database(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	process.TB = t
	if shared.Server == nil {
		shared.Server = postgrestest.Start(&process)
	}
	shared.databases++
	name := fmt.Sprint("test", shared.databases)
	execute(t, shared.URL("postgres"), "CREATE DATABASE "+name)
	return shared.URL(name)
}

func execute(t testing.TB, where, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), where)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s, not %s", what)
		}
	}
}

// follows opens a store, and waits until it knows so many devices by heart.
func follows(t testing.TB, where string, devices int) (wrapped, *Counts) {
	t.Helper()
	counts := NewCounts()
	s, err := OpenWith(where, Options{Counts: counts, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.(*postgres).following()
	eventually(t, "all devices known", func() bool { return counts.known.Load() == int64(devices) })
	return wrapped{s, t}, counts
}

// While PostgreSQL is down, whoever had good credentials is let in, and nobody else; what was
// decided then holds when it is back.
func TestPostgreSQLIsDown(t *testing.T) {
	server := postgrestest.Start(t)
	where := server.URL("postgres")
	worker := wrapped{opened(t, where), t}
	held, stolen, moved := worker.issue("d", "c1"), worker.issue("stolen", "c1"), worker.issue("moved", "c1")
	if _, err := worker.Revoke(t.Context(), []device.ID{"stolen"}); err != nil {
		t.Fatal(err)
	}
	next, later := worker.issue("d", "c2"), worker.issue("moved", "c2")
	worker.issue("d", "c3")
	broker, counts := follows(t, where, 2)
	other, counts2 := follows(t, where, 2)
	if !broker.good("d", held) {
		t.Fatal("a good secret was refused")
	}
	// What happens at the very end is seen, too.
	last := worker.issue("late", "c1")
	eventually(t, "the last device known", func() bool { return counts.known.Load() == 3 })

	server.Stop()
	if _, err := worker.Issue(t.Context(), "d", "c4"); err == nil {
		t.Error("credentials were issued that nobody knows")
	}
	began := time.Now()
	for _, try := range []struct {
		name, password string
		good           bool
	}{
		{"late", last, true}, {"d", held, true}, {"d", next, true}, {"d", held, false}, {"d", next, true},
		{"moved", later, true}, {"moved", moved, false}, {"stolen", stolen, false}, {"d", "x", false}, {"nobody", "x", false},
	} {
		good, err := broker.Check(t.Context(), try.name, try.password)
		if good != try.good || (err == nil) != good || err != nil && !errors.Is(err, ErrDown) {
			t.Errorf("device %s, %.6s: %v, %v; want %v", try.name, try.password, good, err, try.good)
		}
	}
	for name, revoked := range map[string]bool{"stolen": true, "d": false, "nobody": false} {
		if got, err := broker.Revoked(t.Context(), name); got != revoked || err != nil {
			t.Errorf("device %s is revoked: %v, %v", name, got, err)
		}
	}
	if err := broker.Ready(t.Context()); err != nil {
		t.Errorf("it would be taken out of service: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ten logins took %v", took)
	}
	if !counts.down.Load() || counts.recalled.Load() != 7 || counts.refused.Load() != 5 {
		t.Errorf("counted down %v, %d and %d", counts.down.Load(), counts.recalled.Load(), counts.refused.Load())
	}

	server.Start()
	eventually(t, "back", func() bool { return !counts.down.Load() })
	eventually(t, "back at the other", func() bool { return !counts2.down.Load() && counts2.known.Load() == 3 })
	if broker.good("d", held) || broker.good("moved", moved) {
		t.Error("a broker lets older credentials in that it refused a moment ago")
	}
	eventually(t, "written", func() bool { return counts.unwritten.Load() == 0 })
	for name, store := range map[string]wrapped{"that was asked": broker, "that was not asked": other} {
		if store.good("d", held) || store.good("moved", moved) {
			t.Errorf("a broker %s lets older credentials in", name)
		}
	}
	var again string
	eventually(t, "credentials issued", func() (issued bool) { // as Temporal repeats it
		var err error
		again, err = worker.Issue(t.Context(), "d", "c4")
		return err == nil
	})
	if !broker.good("d", again) {
		t.Error("credentials of after were refused")
	}
}

// Looks that find nothing new do not make it read everything again, nor does an empty
// table.
func TestFollowingAQuietTable(t *testing.T) {
	where := database(t)
	var said testlog.Lines
	s, err := OpenWith(where, Options{Log: slog.New(slog.NewTextHandler(&said, nil)), Checks: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	f := s.(*postgres).follower
	looks := func() {
		t.Helper()
		for range 4 {
			f.mu.Lock()
			last := f.since
			f.mu.Unlock()
			eventually(t, "one more look", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.since.After(last)
			})
		}
	}
	looks()
	if _, err := s.Issue(t.Context(), "d", "c1"); err != nil {
		t.Fatal(err)
	}
	looks()
	if said.String() != "" {
		t.Errorf("it was lost:\n%s", said.String())
	}
}

// Only what was known a short time ago is good.
func TestWhatIsKnownByHeartEnds(t *testing.T) {
	f := newFollower(&postgres{}, &pgx.ConnConfig{})
	secret, hash := NewSecret()
	f.memory.put(Record{Device: "d", Issued: []Credential{{ID: "c", Hashes: []string{hash, "odd"}}}})
	for _, tt := range []struct {
		since time.Duration
		good  bool
	}{{0, true}, {RememberedFor - time.Minute, true}, {RememberedFor + time.Second, false}} {
		f.since = time.Now().Add(-tt.since)
		if err := f.remembers(); (err == nil) != tt.good {
			t.Errorf("after %v: ready %v", tt.since, err)
		}
		if good, err := f.recall("d", secret); good != tt.good || (err == nil) != good {
			t.Errorf("after %v: %v, %v", tt.since, good, err)
		}
		if revoked, err := f.recallRevoked("d"); revoked || (err == nil) != tt.good {
			t.Errorf("after %v: revoked %v, %v", tt.since, revoked, err)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(2)
	record := func(id device.ID, credentials ...string) Record {
		r := Record{Device: id}
		for _, c := range credentials {
			r.Issued = append(r.Issued, Credential{ID: c, Hashes: []string{Hash(string(id) + c)}})
		}
		return r
	}
	for _, id := range []device.ID{"a", "b", "c"} {
		m.put(record(id, "2", "1"))
	}
	if len(m.devices) != 2 || m.check("c", "c1") || !m.check("a", "a1") || !m.check("b", "b1") {
		t.Errorf("known are %v", m.devices)
	}
	m.put(record("a", "3", "2"))
	m.put(record("b"))
	m.put(record("c", "1"))
	if m.check("a", "a1") || !m.check("a", "a3") || m.check("a", "a2") || m.check("b", "b1") || !m.check("c", "c1") {
		t.Errorf("known are %v", m.devices)
	}
	if m.unwritten["a"] != "3" || len(m.unwritten) != 1 {
		t.Errorf("to write is %v", m.unwritten)
	}
	m.put(record("a", "3", "2")) // which somebody else changed, and this is not written yet
	if m.check("a", "a2") || !m.check("a", "a3") {
		t.Errorf("known are %v", m.devices)
	}
	fresh := newMemory(2)
	fresh.put(record("a", "4", "3", "2"))
	if fresh.keep(m.unwritten); fresh.check("a", "a2") || !fresh.check("a", "a4") || fresh.check("a", "a3") || fresh.unwritten["a"] != "4" {
		t.Errorf("known are %v, to write is %v", fresh.devices, fresh.unwritten)
	}
	fresh.put(record("a", "6", "5"))
	if fresh.unwritten["a"] != "" || !fresh.check("a", "a5") {
		t.Errorf("to write is %v, which ended", fresh.unwritten)
	}
}

// Of revoked devices, too; and then nobody is taken for one that was not.
func TestMemoryOfRevokedDevicesIsBounded(t *testing.T) {
	f := newFollower(&postgres{}, &pgx.ConnConfig{})
	f.since, f.memory = time.Now(), newMemory(1)
	expect := func(id device.ID, revoked, known bool) {
		t.Helper()
		if got, err := f.recallRevoked(id); got != revoked || (err == nil) != known {
			t.Errorf("device %s: %v, %v", id, got, err)
		}
	}
	f.memory.put(Record{Device: "a", Revoked: time.Now()})
	expect("a", true, true)
	expect("c", false, true)
	f.memory.put(Record{Device: "b", Revoked: time.Now()})
	expect("a", true, true)
	expect("b", false, false)
	expect("c", false, false)
	f.memory.put(Record{Device: "a"})
	expect("a", false, false)
}

// relay is between a store and its database, and can stop to pass anything on.
type relay struct {
	net.Listener
	to   string
	dead atomic.Bool
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: to}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go r.pass(in)
		}
	}()
	return r
}

func (r *relay) pass(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer out.Close()
	go r.copy(in, out)
	r.copy(out, in)
}

func (r *relay) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		for r.dead.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A database that does not answer, rather than refuse, does not hold up logins: only
// those wait that are there before anybody has noticed.
func TestPostgreSQLDoesNotAnswer(t *testing.T) {
	where := database(t)
	relay := startRelay(t, shared.Addr())
	store := wrapped{opened(t, where), t}
	secrets := map[string]string{}
	for i := range 50 {
		id := fmt.Sprint("d", i)
		secrets[id] = store.issue(device.ID(id), "c1")
	}
	broker, counts := follows(t, strings.Replace(where, shared.Addr(), relay.Addr().String(), 1), len(secrets))
	relay.dead.Store(true)
	began := time.Now()
	for id, secret := range secrets {
		if good, err := broker.Check(t.Context(), id, secret); err != nil || !good {
			t.Errorf("device %s is locked out: %v", id, err)
		}
	}
	if took := time.Since(began); took > 2*checkWithin {
		t.Errorf("%d logins took %v", len(secrets), took)
	}
	relay.dead.Store(false)
	eventually(t, "back", func() bool { return !counts.down.Load() })
	if good, err := broker.Check(t.Context(), "d1", secrets["d1"]); err != nil || !good {
		t.Errorf("the device is locked out: %v", err)
	}
}

// Processes that start at once make the tables once; setup is for an owner with more
// rights than those who work with them.
func TestTablesAndRights(t *testing.T) {
	where := database(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			s, err := Open(where)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Issue(t.Context(), device.ID(fmt.Sprint("d", i)), "c"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	execute(t, where, `CREATE ROLE worker LOGIN; GRANT SELECT, INSERT, UPDATE ON devicetwin_credentials TO worker; GRANT SELECT ON devicetwin_credentials_schema TO worker;
		CREATE ROLE broker LOGIN; GRANT SELECT, UPDATE ON devicetwin_credentials TO broker; GRANT SELECT ON devicetwin_credentials_schema TO broker;
		CREATE ROLE stranger LOGIN`)
	as := func(user string) wrapped {
		return wrapped{opened(t, strings.Replace(where, "devicetwin@", user+"@", 1)), t}
	}
	secret := as("worker").issue("d", "c1")
	newer := as("worker").issue("d", "c2")
	broker := as("broker")
	if !broker.good("d", secret) || !broker.good("d", newer) || broker.good("d", secret) {
		t.Error("with the rights of a broker, checks are wrong")
	}
	broker.Store.(*postgres).following()
	eventually(t, "the broker knows all", func() bool {
		f := broker.Store.(*postgres).follower
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.memory.devices) == 9
	})
	if _, err := broker.Issue(t.Context(), "new", "c1"); err == nil || !strings.Contains(err.Error(), "rights") {
		t.Errorf("a broker issued credentials: %v", err)
	}
	if _, err := as("stranger").Issue(t.Context(), "new", "c1"); err == nil || !strings.Contains(err.Error(), "setup") {
		t.Errorf("a stranger issued credentials: %v", err)
	}
	fresh := database(t)
	execute(t, fresh, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	early := opened(t, strings.Replace(fresh, "devicetwin@", "worker@", 1))
	if _, err := early.Issue(t.Context(), "d", "c"); err == nil || !strings.Contains(err.Error(), "devicetwin credentials setup") {
		t.Errorf("without tables and the right to make them: %v", err)
	}
}

// A table that was copied into another cluster has numbers of transactions that are
// still to come there.
func TestATableFromAnotherCluster(t *testing.T) {
	where := database(t)
	worker := wrapped{opened(t, where), t}
	worker.issue("d", "c1")
	execute(t, where, `UPDATE devicetwin_credentials SET changed = '9000000000000'`)
	follows(t, where, 1)
	conn, err := pgx.Connect(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var strange int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM devicetwin_credentials WHERE changed >= pg_snapshot_xmax(pg_current_snapshot())`).Scan(&strange); err != nil || strange > 0 {
		t.Errorf("%d rows would be read at every look, error %v", strange, err)
	}
}

// A revocation whose transaction is committed late is seen, although others that began
// after it were seen before.
func TestARevocationThatIsCommittedLate(t *testing.T) {
	where := database(t)
	worker := wrapped{opened(t, where), t}
	worker.issue("slow", "c1")
	worker.issue("other", "c1")
	watching, counts := follows(t, where, 2)
	told := make(chan device.ID, 10)
	if err := watching.Watch(t.Context(), func(id device.ID) { told <- id }); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(t.Context(), `UPDATE devicetwin_credentials SET issued = '[]', revoked = true, revoked_at = clock_timestamp(), changed = pg_current_xact_id() WHERE device = 'slow'`)
	if err != nil {
		t.Fatal(err)
	}
	worker.issue("third", "c1")
	eventually(t, "a later transaction seen", func() bool { return counts.known.Load() == 3 })
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case id := <-told:
		if id != "slow" {
			t.Errorf("got %s", id)
		}
	case <-time.After(20 * time.Second):
		t.Error("the revocation was missed")
	}
}

// A fault of the URL is named without the password in it.
func TestFaultsOfTheURL(t *testing.T) {
	for _, where := range []string{
		"postgres://u:pa55word@h:port/d", "postgres://u:pa55/word@h/d", "postgres://u:pa55word@h/d?connect_timeout=pa55word",
		"postgres://u:pa55word@h/d?sslmode=maybe", "postgres://u:pa55word@h/d?sslmode=verify-full&sslrootcert=/nowhere", "postgresql://u:pa55word@h/d?pool_max_conns=x",
	} {
		s, err := Open(where)
		if err == nil {
			s.Close()
			t.Errorf("%s was taken", where)
		} else if strings.Contains(err.Error(), "pa55") {
			t.Errorf("the error has the password: %v", err)
		}
	}
	s, err := Open("postgres://u:pa55word@127.0.0.1:1/d?pool_max_conns=3&connect_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.(*postgres).pool.Config().MaxConns; got != 3 {
		t.Errorf("%d connections, want 3", got)
	}
	if _, err := s.Issue(t.Context(), "d", "c"); err == nil || strings.Contains(err.Error(), "pa55") {
		t.Errorf("without a server: %v", err)
	}
	usual := opened(t, "postgres://u@127.0.0.1:1/d").(*postgres).pool.Config()
	if usual.MaxConns != poolMax || usual.ConnConfig.ConnectTimeout != connectWithin {
		t.Errorf("%d connections, each within %v", usual.MaxConns, usual.ConnConfig.ConnectTimeout)
	}
}
