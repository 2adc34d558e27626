package credentials

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

// place is where a store keeps things. Each call opens it once more, as another
// process does.
type place func(t testing.TB) Store

// places are all kinds of stores. A new, empty one is made for each test.
var places = []struct {
	name string
	make func(t testing.TB) place
}{
	{"folder", func(t testing.TB) place {
		dir := t.TempDir()
		return func(t testing.TB) Store { return opened(t, dir) }
	}},
	{"postgresql", func(t testing.TB) place {
		where := database(t)
		return func(t testing.TB) Store { return opened(t, where) }
	}},
}

func opened(t testing.TB, where string) Store {
	t.Helper()
	s, err := Open(where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// contract runs a test on every kind of store.
func contract(t *testing.T, test func(t *testing.T, open place)) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) { test(t, p.make(t)) })
	}
}

// wrapped has what tests ask of a store, without errors.
type wrapped struct {
	Store
	t testing.TB
}

func (w wrapped) issue(id device.ID, credential string) string {
	w.t.Helper()
	secret, err := w.Issue(context.Background(), id, credential)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func (w wrapped) good(name, password string) bool {
	w.t.Helper()
	good, err := w.Check(context.Background(), name, password)
	if err != nil {
		w.t.Fatal(err)
	}
	return good
}

func (w wrapped) record(id device.ID) (Record, bool) {
	w.t.Helper()
	found, err := w.Get(context.Background(), []device.ID{id})
	if err != nil {
		w.t.Fatal(err)
	}
	r, ok := found[id]
	return r, ok
}

func TestStore(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		store, other := wrapped{open(t), t}, wrapped{open(t), t}
		if err := other.Ready(t.Context()); err != nil {
			t.Errorf("not ready: %v", err)
		}
		first, again := store.issue("pump:1", "c1"), store.issue("pump:1", "c1")
		if raw, err := hex.DecodeString(first); err != nil || len(raw) != 32 || first == again {
			t.Fatalf("secrets %q and %q: want two different ones of 256 bits", first, again)
		}
		second, third := store.issue("pump:1", "c2"), store.issue("pump:1", "c3")

		// Another process knows the same; and the device may hold any of them, until it
		// has used a newer one.
		for _, secret := range []string{first, again, second} {
			if !other.good("pump:1", secret) {
				t.Errorf("secret %s was refused", secret)
			}
		}
		if other.good("pump:1", first) {
			t.Error("a secret was taken that is older than the one used last")
		}
		store.issue("pump:1", "c4")
		for _, try := range []struct {
			secret string
			good   bool
		}{{second, true}, {third, true}, {third, true}, {second, false}} {
			if got := store.good("pump:1", try.secret); got != try.good {
				t.Errorf("secret %s taken: %v, want %v", try.secret, got, try.good)
			}
		}
		for _, wrong := range []string{"", "x", strings.ToUpper(first), "\x00", "\xff", Hash(third)} {
			if other.good("pump:1", wrong) {
				t.Errorf("password %q was taken", wrong)
			}
		}
		for _, name := range []string{"pump:2", "", "pump 1", "\x00", "\xff", "kind/pump:1", "PUMP:1", strings.Repeat("x", 10_000)} {
			if other.good(name, third) {
				t.Errorf("%q was let in by another device's secret", name)
			}
		}
		if r, ok := other.record("pump:1"); !ok || r.Used != "c3" || len(r.Issued) != 2 || strings.Contains(fmt.Sprint(r), third) {
			t.Errorf("kept %+v: want c4 and c3, which was used, and no secret", r)
		}
	})
}

// A device that never uses what it is given can log in with what it has.
func TestADeviceThatIgnoresCommandsIsNotLockedOut(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		store := wrapped{open(t), t}
		held := store.issue("d", "held")
		if !store.good("d", held) {
			t.Fatal("the first secret was refused")
		}
		for i := range 2 * MaxCredentials {
			store.issue("d", fmt.Sprint("ignored-", i))
		}
		if !store.good("d", held) {
			t.Error("the device is locked out")
		}
		if r, _ := store.record("d"); len(r.Issued) != MaxCredentials {
			t.Errorf("%d credentials are kept, want %d", len(r.Issued), MaxCredentials)
		}
	})
}

func TestCredentialsOfOneIDAreBounded(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		store := wrapped{open(t), t}
		var last string
		for range 3 * MaxSecrets {
			last = store.issue("d", "c")
		}
		if r, _ := store.record("d"); len(r.Issued) != 1 || len(r.Issued[0].Hashes) != MaxSecrets {
			t.Errorf("kept %+v: want one credential with %d hashes", r, MaxSecrets)
		}
		if !store.good("d", last) {
			t.Error("the newest secret was refused")
		}
	})
}

func TestRevoke(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		store, other := wrapped{open(t), t}, wrapped{open(t), t}
		old := store.issue("stolen", "c1")
		kept := store.issue("kept", "c1")
		if !other.good("stolen", old) || !other.good("kept", kept) {
			t.Fatal("a good secret was refused")
		}
		known, err := store.Revoke(t.Context(), []device.ID{"nobody", "stolen"})
		if err != nil || !slices.Equal(known, []device.ID{"stolen"}) {
			t.Fatalf("revoked %v, error %v", known, err)
		}
		if other.good("stolen", old) || store.good("stolen", old) || !other.good("kept", kept) {
			t.Error("the wrong devices are out")
		}
		// A worker that is about to reprovision the device must not let it in again,
		// nor an import.
		if _, err := other.Issue(t.Context(), "stolen", "c2"); !errors.Is(err, ErrRevoked) {
			t.Errorf("issued credentials to a revoked device: %v", err)
		}
		outcomes, err := other.Import(t.Context(), []Record{{Device: "stolen", Issued: issued("c3", old)}})
		if err != nil || !slices.Equal(outcomes, []Outcome{Revoked}) || other.good("stolen", old) {
			t.Errorf("imported a revoked device: %v, %v", outcomes, err)
		}
		if r, ok := other.record("stolen"); !ok || time.Since(r.Revoked).Abs() > time.Minute || len(r.Issued) > 0 {
			t.Errorf("kept %+v: want the time at which it was revoked", r)
		}
		if again, err := other.Revoke(t.Context(), []device.ID{"stolen"}); err != nil || len(again) != 1 {
			t.Errorf("revoked again: %v, %v", again, err)
		}

		fresh, err := store.Enrol(t.Context(), "stolen", "c4")
		if err != nil || !other.good("stolen", fresh) || other.good("stolen", old) {
			t.Errorf("enrolled again, error %v: the new secret is not the only good one", err)
		}
		if r, _ := other.record("stolen"); !r.Revoked.IsZero() {
			t.Errorf("kept %+v: want that it is not revoked", r)
		}
		other.issue("stolen", "c5")
	})
}

// Whoever ends sessions hears of each revocation by any process, and of nothing else.
func TestWatch(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		store, other := wrapped{open(t), t}, wrapped{open(t), t}
		for _, id := range []device.ID{"before", "a", "b", "c"} {
			store.issue(id, "c1")
		}
		revoke := func(ids ...device.ID) {
			t.Helper()
			if _, err := store.Revoke(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
		}
		revoke("before")
		heard := make(chan device.ID, 100)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		if err := other.Watch(ctx, func(id device.ID) { heard <- id }); err != nil {
			t.Fatal(err)
		}
		revoke("a", "b")
		// One that is let in again at once has to lose the session of before, too.
		revoke("c")
		if _, err := store.Enrol(t.Context(), "c", "c2"); err != nil {
			t.Fatal(err)
		}
		got := map[device.ID]bool{}
		for len(got) < 3 {
			select {
			case id := <-heard:
				got[id] = true
			case <-time.After(20 * time.Second):
				t.Fatalf("got %v only", got)
			}
		}
		if !maps.Equal(got, map[device.ID]bool{"a": true, "b": true, "c": true}) {
			t.Errorf("got %v", got)
		}
	})
}

// issued is one credential with these passwords.
func issued(id string, passwords ...string) []Credential {
	c := Credential{ID: id, At: time.Now().UTC().Truncate(time.Second)}
	for _, p := range passwords {
		c.Hashes = append(c.Hashes, Hash(p))
	}
	return []Credential{c}
}

// What is in one store can be moved to another, as it is.
func TestImportOfAll(t *testing.T) {
	for _, from := range places {
		contract(t, func(t *testing.T, to place) {
			from := from.make(t)
			was, is := wrapped{from(t), t}, wrapped{to(t), t}
			was.issue("d", "c1")
			held := was.issue("d", "c2")
			was.good("d", held)
			newest := was.issue("d", "c3")
			was.issue("out", "c1")
			if _, err := was.Revoke(t.Context(), []device.ID{"out"}); err != nil {
				t.Fatal(err)
			}
			var records []Record
			for r, err := range was.All(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, Record{Device: r.Device, About: About{Site: "north"}, Issued: r.Issued, Used: r.Used, Revoked: r.Revoked})
			}
			outcomes, err := is.Import(t.Context(), records)
			if err != nil || !slices.Equal(outcomes, []Outcome{Created, Created}) {
				t.Errorf("outcomes %v, error %v", outcomes, err)
			}
			if r, _ := is.record("d"); len(r.Issued) != 2 || r.Used != "c2" {
				t.Errorf("imported %+v", r)
			}
			if !is.good("d", held) || !is.good("d", newest) || is.good("d", held) {
				t.Error("what the device may use is not as it was")
			}
			if _, err := is.Issue(t.Context(), "out", "c2"); !errors.Is(err, ErrRevoked) {
				t.Errorf("a revoked device is in again: %v", err)
			}
		})
	}
}

func TestImport(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		store, other := wrapped{open(t), t}, wrapped{open(t), t}
		held := store.issue("old", "c1")
		north := About{Tags: map[string]string{"line": "3"}, Site: "north", Model: "pump"}
		records := []Record{
			{Device: "new", About: north, Issued: issued("import", "one", "two")},
			{Device: "old", About: north, Issued: issued("import", "three")},
			{Device: "bare", About: About{Site: "south"}},
		}
		expect := func(by Store, want ...Outcome) {
			t.Helper()
			got, err := by.Import(t.Context(), records)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("outcomes %v, error %v; want %v", got, err, want)
			}
		}
		expect(store, Created, Updated, Updated)
		before, _ := other.record("new")
		expect(other, Unchanged, Unchanged, Unchanged)
		if after, _ := other.record("new"); fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("importing again made %+v of %+v", after, before)
		}
		for _, try := range []struct {
			name, password string
			good           bool
		}{{"new", "two", true}, {"new", "one", true}, {"old", held, true}, {"old", "three", false}, {"bare", "", false}} {
			if got := other.good(try.name, try.password); got != try.good {
				t.Errorf("device %s with password %q: %v, want %v", try.name, try.password, got, try.good)
			}
		}
		records[0].Tags = nil
		expect(store, Updated, Unchanged, Unchanged)
		records[2].Issued = issued("import-2", "four")
		expect(store, Unchanged, Unchanged, Created)

		all := map[device.ID]string{}
		for r, err := range other.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all[r.Device] = fmt.Sprint(r.Site, " ", r.Model, " ", r.Tags, " ", len(r.Issued), " ", r.Used)
		}
		want := map[device.ID]string{"new": "north pump map[] 1 import", "old": "north pump map[line:3] 1 c1", "bare": "south  map[] 1 "}
		if !maps.Equal(all, want) {
			t.Errorf("all are %q, want %q", all, want)
		}
		for range other.All(t.Context()) {
			break // must not go on, nor hold anything
		}
		if !other.good("bare", "four") {
			t.Error("the store is of no use after a list that was not read to its end")
		}
	})
}

// Two workers may have the same device to reprovision: no secret that one of them
// sends out may be lost by what the other does.
func TestWorkersAtOneDevice(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		workers := []wrapped{{open(t), t}, {open(t), t}}
		const each = MaxCredentials / 2 // of both together, as many as are kept
		held := workers[0].issue("d", "held")
		if !workers[1].good("d", held) {
			t.Fatal("the first secret was refused")
		}
		var mu sync.Mutex
		secrets := []string{}
		var all sync.WaitGroup
		for w, store := range workers {
			for i := range each - 1 {
				credential := "both" // an attempt that was given up goes on at the other one
				if i > 0 {
					credential = fmt.Sprint(w, "-", i)
				}
				all.Go(func() {
					secret, err := store.Issue(t.Context(), "d", credential)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Error(err)
					}
					secrets = append(secrets, secret)
				})
			}
		}
		all.Wait()
		r, _ := workers[0].record("d")
		for _, secret := range secrets {
			if r.find(secret) == "" {
				t.Errorf("the secret %s is lost: %+v", secret, r)
			}
		}
		if !workers[0].good("d", held) {
			t.Error("the secret in use is lost")
		}
	})
}

// What a broker checks while a worker issues: the device stays in, until it has used
// a newer credential; then the older one is out permanently, at every broker.
func TestChecksWhileAWorkerIssues(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		worker := wrapped{open(t), t}
		brokers := []wrapped{{open(t), t}, {open(t), t}}
		held := worker.issue("d", "0")
		for round := range 15 {
			var next string
			done := make(chan struct{})
			var all sync.WaitGroup
			for _, b := range brokers {
				all.Go(func() {
					for open := true; open; {
						if good, err := b.Check(t.Context(), "d", held); err != nil || !good {
							t.Errorf("round %d: the device is locked out, error %v", round, err)
							return
						}
						select {
						case <-done:
							open = false
						default:
						}
					}
				})
			}
			next = worker.issue("d", fmt.Sprint(round+1))
			close(done)
			all.Wait()
			// Both at once, at two brokers: the older one may be let in before the newer
			// one, and not after.
			newer := make(chan struct{})
			all.Go(func() {
				defer close(newer)
				if good, err := brokers[0].Check(t.Context(), "d", next); err != nil || !good {
					t.Errorf("round %d: the new secret is refused, error %v", round, err)
				}
			})
			all.Go(func() {
				for {
					select {
					case <-newer:
						return
					default:
						_, _ = brokers[1].Check(t.Context(), "d", held)
					}
				}
			})
			all.Wait()
			for _, b := range append(brokers, worker) {
				if b.good("d", held) {
					t.Errorf("round %d: an older secret was taken after a newer one", round)
				}
			}
			held = next
		}
	})
}

// Whether a device is revoked is known in every process, at once.
func TestRevoked(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		operator, broker := wrapped{open(t), t}, wrapped{open(t), t}
		expect := func(name string, want bool) {
			t.Helper()
			if got, err := broker.Revoked(t.Context(), name); got != want || err != nil {
				t.Errorf("device %.20q is revoked: %v, %v; want %v", name, got, err, want)
			}
		}
		operator.issue("d", "c1")
		for _, name := range []string{"d", "nobody", "", "../x", strings.Repeat("x", 100_000), "a\x00b"} {
			expect(name, false)
		}
		if _, err := operator.Revoke(t.Context(), []device.ID{"d"}); err != nil {
			t.Fatal(err)
		}
		expect("d", true)
		if _, err := operator.Enrol(t.Context(), "d", "c2"); err != nil {
			t.Fatal(err)
		}
		expect("d", false)
	})
}

// A revocation is not undone by what workers and brokers do at the same time.
func TestRevokeWhileOthersWork(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		operator, worker, broker := wrapped{open(t), t}, wrapped{open(t), t}, wrapped{open(t), t}
		for round := range 10 {
			id := device.ID(fmt.Sprint("d", round))
			secrets := []string{worker.issue(id, "0"), worker.issue(id, "1")}
			var all sync.WaitGroup
			all.Go(func() {
				for _, secret := range secrets {
					_, _ = broker.Check(t.Context(), id.Name(), secret)
				}
			})
			var issued string
			all.Go(func() { issued, _ = worker.Issue(t.Context(), id, "2") })
			all.Go(func() {
				if _, err := operator.Revoke(t.Context(), []device.ID{id}); err != nil {
					t.Error(err)
				}
			})
			all.Wait()
			for _, secret := range append(secrets, issued) {
				if broker.good(id.Name(), secret) {
					t.Errorf("round %d: a revoked device was let in", round)
				}
			}
		}
	})
}

// rules is the semantics of ADR 2 as it is written there, for one device: secrets in
// the clear, in the order in which their credentials began.
type rules struct {
	credentials []string
	secrets     map[string][]string // of a credential
	used        int                 // position of the newest that was used; -1 for none
	revoked     bool
}

func (r *rules) issue(credential, secret string) {
	if !slices.Contains(r.credentials, credential) {
		r.credentials = append(r.credentials, credential)
	}
	r.secrets[credential] = append(r.secrets[credential], secret)
}

func (r *rules) check(secret string) bool {
	for i, c := range r.credentials {
		if slices.Contains(r.secrets[c], secret) {
			if i < r.used {
				return false
			}
			r.used = i
			return true
		}
	}
	return false
}

func (r *rules) revoke() { *r = rules{secrets: map[string][]string{}, used: -1, revoked: true} }

// Any sequence of calls, by two processes, has the results of the rules.
func TestStoreFollowsTheRules(t *testing.T) {
	contract(t, func(t *testing.T, open place) {
		stores := []Store{open(t), open(t)}
		device1 := 0
		rapid.Check(t, func(rt *rapid.T) {
			device1++
			id := device.ID(fmt.Sprint("d", device1))
			want := rules{secrets: map[string][]string{}, used: -1}
			var secrets []string // all that ever were
			ended := false       // by a bound, which the rules here do not have
			steps := rapid.IntRange(1, 25).Draw(rt, "steps")
			known := false
			for range steps {
				s := rapid.SampledFrom(stores).Draw(rt, "process")
				switch rapid.IntRange(0, 9).Draw(rt, "what") {
				case 0, 1, 2, 3:
					// Only the newest credential is issued again: its attempts are those of the
					// activity that runs.
					credential := fmt.Sprint("c", len(secrets))
					if n := len(want.credentials); n > 0 && rapid.Bool().Draw(rt, "again") {
						credential = want.credentials[n-1]
					}
					ended = ended || len(want.credentials)-max(want.used, 0) >= MaxCredentials || len(want.secrets[credential]) >= MaxSecrets
					if ended {
						return
					}
					secret, err := s.Issue(context.Background(), id, credential)
					if want.revoked != errors.Is(err, ErrRevoked) || err != nil && !want.revoked {
						rt.Fatalf("issue: %v, revoked %v", err, want.revoked)
					}
					if err == nil {
						want.issue(credential, secret)
						secrets, known = append(secrets, secret), true
					}
				case 4:
					secret, err := s.Enrol(context.Background(), id, fmt.Sprint("e", len(secrets)))
					if err != nil {
						rt.Fatal(err)
					}
					ended = ended || len(want.credentials)-max(want.used, 0) >= MaxCredentials
					want.revoked = false
					want.issue(fmt.Sprint("e", len(secrets)), secret)
					secrets, known = append(secrets, secret), true
					if ended {
						return
					}
				case 5:
					got, err := s.Revoke(context.Background(), []device.ID{id})
					if err != nil || (len(got) == 1) != known {
						rt.Fatalf("revoke: %v, %v; known %v", got, err, known)
					}
					if known {
						want.revoke()
					}
				default:
					if len(secrets) == 0 {
						continue
					}
					secret := rapid.SampledFrom(secrets).Draw(rt, "secret")
					got, err := s.Check(context.Background(), id.Name(), secret)
					if good := want.check(secret); err != nil || got != good {
						rt.Fatalf("check: %v, %v; want %v", got, err, good)
					}
				}
			}
		})
	})
}
