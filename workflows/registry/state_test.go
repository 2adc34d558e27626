package registry

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

func wantRefused(t tester, refused *device.Refused, code int, says string) {
	t.Helper()
	if refused == nil || refused.Code != code || !strings.Contains(refused.Message, says) {
		t.Errorf("%+v, want a refusal with code %d that says %q", refused, code, says)
	}
}

func ref(model string, version int) *VersionRef { return &VersionRef{Model: model, Version: version} }

func TestVersionsOfAModel(t *testing.T) {
	r := newRegistry(t)
	first := r.push("pump", 1)
	if !first.Created || first.Version != 1 {
		t.Fatalf("%+v", first)
	}
	second := r.push("pump", 2)
	again := r.push("pump", 1)
	if second.Version != 2 || again.Created || again.Version != 1 || again.Hash != first.Hash || again.Revision != second.Revision {
		t.Errorf("second %+v, first again %+v", second, again)
	}
	m, _ := r.Index.Find("pump")
	if m.Default != 1 || len(m.Versions) != 2 || m.Versions[1].Who != "ann" || !m.Versions[1].At.Equal(began) {
		t.Errorf("%+v", m)
	}
	for reference, version := range map[string]int{"pump": 1, "pump@2": 2, second.Hash: 2, second.Hash[:8]: 2, "pump@" + second.Hash[:10]: 2} {
		if _, v, err := r.Index.Resolve(reference); err != nil || v.Number != version {
			t.Errorf("%s: %+v, %v", reference, v, err)
		}
	}
	for reference, says := range map[string]string{
		"fan": "there is pump", "fan@1": `no model "fan"`, "pump@3": "newest is 2", "pump@x": "newest is 2", second.Hash[:7]: "no version with the hash", "": "there is pump",
	} {
		if _, _, err := r.Index.Resolve(reference); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", reference, err, says)
		}
	}
}

// A default waits until bridges know it.
func TestDefaults(t *testing.T) {
	r := newRegistry(t)
	r.push("pump", 1)
	r.push("pump", 2)
	r.refuses(409, "try again in 11s", Change{Default: ref("pump", 2)})
	r.wait(SettleTime)
	made := r.must(Change{Default: ref("pump", 2), Who: "bob", Note: "threshold"})
	m, _ := r.Index.Find("pump")
	if !made.Created || m.Default != 2 || !m.Versions[0].Until.Equal(r.now) || !m.Versions[1].Until.IsZero() {
		t.Errorf("%+v, %+v", made, m)
	}
	if same := r.must(Change{Default: ref("pump", 2)}); same.Created || same.Revision != made.Revision {
		t.Errorf("%+v", same)
	}
	r.refuses(404, "no version 7", Change{Default: ref("pump", 7)})
	r.refuses(404, `no model "fan"`, Change{Default: ref("fan", 1)})
	r.refuses(412, "revision 1 was expected, and it is 3", Change{Default: ref("pump", 1), Expected: 1})
	r.must(Change{Default: ref("pump", 1), Expected: made.Revision})
	newest := r.newest()
	if newest[1].What != "default" || newest[1].Who != "bob" || newest[1].Note != "threshold" || newest[1].Version != 2 {
		t.Errorf("%+v", newest)
	}
}

func TestAKeyIsUsedOnce(t *testing.T) {
	r := newRegistry(t)
	pushed := text(t, "pump", 1)
	first := r.must(Change{Key: "k", Push: &pushed})
	r.push("pump", 2)
	if again := r.must(Change{Key: "k", Who: "somebody", Push: &pushed}); again != first {
		t.Errorf("%+v, want %+v", again, first)
	}
	other := text(t, "pump", 3)
	r.refuses(422, "used for another request", Change{Key: "k", Push: &other})
	for i := range MaxDone {
		pushed.Name = "pump"
		r.must(Change{Key: fmt.Sprint("later-", i), Push: &pushed})
	}
	if len(r.Done) != MaxDone || r.Done[0].Key != "later-0" {
		t.Errorf("%d keys are kept, the first is %s", len(r.Done), r.Done[0].Key)
	}
}

func TestRemoval(t *testing.T) {
	r := newRegistry(t)
	r.push("pump", 1)
	second := r.push("pump", 2)
	r.push("pump", 3)
	r.refuses(409, "is its default", Change{Remove: ref("pump", 1)})
	r.wait(SettleTime)
	r.must(Change{Rules: &Rules{Sources: map[string]Source{SourceMQTT: {Model: "pump", Rules: []Rule{{"a-*", "pump@" + second.Hash}}}}}})
	r.refuses(409, `in the rules: rule "a-*" of mqtt`, Change{Remove: ref("pump", 2)})
	r.must(Change{Rules: &Rules{Sources: map[string]Source{SourceMQTT: {Model: "pump"}}}})
	r.refuses(409, "try again in 1m1s", Change{Remove: ref("pump", 2)})
	r.must(Change{Remove: ref("pump", 3)}) // nothing could ever start with it
	r.wait(RestTime)
	r.must(Change{Remove: ref("pump", 2)})
	m, _ := r.Index.Find("pump")
	if len(m.Versions) != 1 {
		t.Errorf("%+v", m)
	}
	if again := r.push("pump", 2); again.Version != 4 {
		t.Errorf("numbers are used again: %+v", again)
	}
}

func TestRules(t *testing.T) {
	r := newRegistry(t)
	r.push("pump", 1)
	customer := text(t, "loyalty", 1)
	customer.Kind = "customer"
	r.must(Change{Push: &customer})
	r.refuses(422, `kind device`, Change{Rules: &Rules{Sources: map[string]Source{SourceMQTT: {Model: "loyalty"}}}})
	r.refuses(422, `expected one of kind area`, Change{Rules: &Rules{Kinds: map[string]string{"area": "loyalty"}}})
	// Every fault is reported.
	r.refuses(422, "rule \"a-*\" of kafka: there is no model, and no version with the hash, \"fan\"; there is loyalty, pump\nthe default model of kafka", Change{Rules: &Rules{
		Sources: map[string]Source{SourceKafka: {Model: "fin", Rules: []Rule{{"a-*", "fan"}}}}}})
	r.refuses(422, "pattern \"[\"", Change{Rules: &Rules{Sources: map[string]Source{SourceMQTT: {Rules: []Rule{{"[", "pump"}}}}}})
	r.refuses(422, `source "amqp"`, Change{Rules: &Rules{Sources: map[string]Source{"amqp": {}}}})
	r.refuses(422, "that of their source", Change{Rules: &Rules{Kinds: map[string]string{"device": "pump"}}})
	made := r.must(Change{Rules: &Rules{Sources: map[string]Source{SourceMQTT: {Model: "pump"}}, Kinds: map[string]string{"customer": "loyalty"}}})
	if made.Revision != r.Index.Rules.Revision {
		t.Errorf("%+v", made)
	}
	r.refuses(412, "the rules: revision 1 was expected", Change{Expected: 1, Rules: &Rules{}})
	r.push("pump", 2)
	r.refuses(422, "bridges are learning of it", Change{Rules: &Rules{Sources: map[string]Source{SourceMQTT: {Model: "pump@2"}}}})
	r.wait(SettleTime)
	r.must(Change{Rules: &Rules{Sources: map[string]Source{SourceMQTT: {Model: "pump@2"}}}, Expected: made.Revision})
}

// Files and flags fill what is empty, and change nothing else.
func TestASeed(t *testing.T) {
	r := newRegistry(t)
	seed := func(versions ...int) Change {
		var texts []Text
		for _, n := range versions {
			texts = append(texts, text(t, "pump", n))
		}
		return Change{Who: "bridge b1", Seed: &Seed{Contents: texts}}
	}
	if made := r.must(seed(5, 4)); made.Version != 1 || !made.Created {
		t.Errorf("%+v", made)
	}
	m, _ := r.Index.Find("pump")
	if m.Default != 1 || m.Versions[0].Hash != text(t, "pump", 5).Hash || len(m.Versions) != 2 {
		t.Errorf("%+v", m)
	}
	before := r.Index.Revision
	if made := r.must(seed(6, 5)); made.Created || r.Index.Revision != before {
		t.Errorf("a model that is known was seeded: %+v", made)
	}
	rules := Change{Seed: &Seed{Sources: map[string]Source{SourceMQTT: {Model: "pump@2"}}, Kinds: map[string]string{}}}
	if made := r.must(rules); !made.Created {
		t.Errorf("%+v", made)
	}
	rules.Seed.Sources = map[string]Source{SourceMQTT: {Model: "pump"}, SourceKafka: {Model: "pump"}}
	r.must(rules)
	if s := r.Index.Rules.Sources; s[SourceMQTT].Model != "pump@2" || s[SourceKafka].Model != "pump" {
		t.Errorf("%+v", s)
	}
	r.refuses(422, `no model, and no version with the hash, "fan"`, Change{Seed: &Seed{Kinds: map[string]string{"fan": "fan"}}})
	mixed := seed(1)
	mixed.Seed.Contents = append(mixed.Seed.Contents, text(t, "fan", 1))
	r.refuses(400, "expected versions of model pump", mixed)
	// A seed with contents and the rules that name them.
	fan := Change{Seed: &Seed{Contents: []Text{text(t, "fan", 1)}, Kinds: map[string]string{"area": "fan"}}}
	fan.Seed.Contents[0].Kind = "area"
	r.must(fan)
}

func TestWhatIsNeverTaken(t *testing.T) {
	r := newRegistry(t)
	broken := func(change func(*Text)) Change {
		one := text(t, "pump", 1)
		change(&one)
		return Change{Push: &one}
	}
	r.refuses(422, "model: in the file", broken(func(x *Text) { x.Name = "a b" }))
	r.refuses(400, "expected that of a model", broken(func(x *Text) { x.Hash = "../x" }))
	r.refuses(400, "file name", broken(func(x *Text) { x.File = "../x" }))
	r.refuses(413, "expected 1 to", broken(func(x *Text) { x.Bytes = MaxText + 1 }))
	r.refuses(413, "expected 1 to", broken(func(x *Text) { x.Gzip = nil }))
	r.refuses(400, "model pump", broken(func(x *Text) { x.Kind = "NO" }))
	r.refuses(400, "note", Change{Note: "a\nb", Default: ref("pump", 1)})
	r.refuses(400, "changes nothing", Change{})
	r.refuses(400, "caller's name", Change{Who: strings.Repeat("x", maxWho+1), Default: ref("pump", 1)})
	if refused := (Change{Default: ref("pump", 1)}).Check(); refused == nil || !strings.Contains(refused.Message, "idempotency key") {
		t.Errorf("without a key: %v", refused)
	}
	r.push("pump", 1)
	r.refuses(409, "say model: fan in its file", broken(func(x *Text) { x.Name = "fan" }))
	r.refuses(409, "give it another name", broken(func(x *Text) { x.Kind = "customer" }))
	r.refuses(412, "there is none", Change{Expected: 1, Push: &Text{Name: "fan", Kind: "device", Hash: strings.Repeat("a", 64), File: "f", Gzip: []byte("x")}})
}

func TestARegistryIsBounded(t *testing.T) {
	r := newRegistry(t)
	for n := range MaxOfModel {
		r.push("pump", n)
	}
	more := text(t, "pump", MaxOfModel)
	r.refuses(409, "more than 100 versions", Change{Push: &more})
	if again := r.push("pump", 0); again.Created {
		t.Errorf("%+v", again)
	}
	note := strings.Repeat("é", maxNote/2)
	for i := range MaxModels - 1 {
		for n := range 4 {
			one := text(t, fmt.Sprintf("%s-%d", strings.Repeat("x", maxName-4), i), n)
			one.File = strings.Repeat("f", maxFile)
			r.must(Change{Push: &one, Who: strings.Repeat("w", maxWho), Note: note, Key: fmt.Sprint(strings.Repeat("k", maxKey-8), i, "-", n)})
		}
	}
	one := text(t, "another", 1)
	r.refuses(409, "has 200 models", Change{Push: &one})
	if len(r.Records) != MaxRecords || len(r.Done) != MaxDone {
		t.Errorf("%d records and %d keys", len(r.Records), len(r.Done))
	}
	index, err := json.Marshal(r.Index)
	next, failed := r.compressed()
	if err != nil || failed != nil || len(index) > 1500<<10 || len(next) > 500<<10 {
		t.Errorf("the index has %d bytes, the state %d, errors %v, %v", len(index), len(next), err, failed)
	}
	t.Logf("%d bytes of index, %d of state, compressed", len(index), len(next))
}

func TestTextsAreReadAsTheyWere(t *testing.T) {
	one := text(t, "pump", 1)
	if src, err := one.Source(); err != nil || len(src) != one.Bytes || !strings.HasPrefix(string(src), "model: pump\n") {
		t.Errorf("%q, %v", src, err)
	}
	bomb, err := Compress(make([]byte, MaxText+1))
	if err != nil {
		t.Fatal(err)
	}
	for name, gz := range map[string][]byte{"more than 262144 bytes": bomb, "EOF": one.Gzip[:20], "invalid header": []byte("model: pump, initial: on")} {
		if src, err := (Text{Gzip: gz}).Source(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %d bytes, %v", name, len(src), err)
		}
	}
}

// Whatever is changed, and wherever runs end, what the registry promises holds.
func TestWhatAlwaysHolds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRegistry(rt)
		numbers := map[string]string{} // hash by model and number, of all time
		last := uint64(0)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			name := rapid.SampledFrom([]string{"pump", "fan", "tank"}).Draw(rt, "name")
			n := rapid.IntRange(1, 5).Draw(rt, "n")
			reference := rapid.SampledFrom([]string{name, fmt.Sprint(name, "@", n)}).Draw(rt, "ref")
			one := text(rt, name, n)
			var c Change
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				c.Push = &one
			case 2:
				c.Default = ref(name, n)
			case 3:
				c.Remove = ref(name, n)
			case 4:
				c.Rules = &Rules{Sources: map[string]Source{SourceMQTT: {Model: reference, Rules: []Rule{{"a-*", reference}}}}}
			case 5:
				c.Seed = &Seed{Contents: []Text{one}, Sources: map[string]Source{SourceKafka: {Model: reference}}}
			case 6: // continue-as-new
				next, err := r.compressed()
				if err != nil {
					rt.Fatal(err)
				}
				if r.State, err = decodeInput(Input{State: next}); err != nil {
					rt.Fatal(err)
				}
				continue
			}
			c.Expected = rapid.SampledFrom([]uint64{0, 0, r.Index.Revision}).Draw(rt, "expected")
			before, _ := json.Marshal(r.State)
			started := r.Index.starting()
			_, refused := r.change(c)
			if after, _ := json.Marshal(r.State); refused != nil && string(after) != string(before) {
				rt.Fatalf("a change that was refused (%v) changed the state", refused)
			}
			r.wait(time.Duration(rapid.IntRange(0, 20).Draw(rt, "seconds")) * time.Second)
			for hash := range started { // nothing that an entity could start with a moment ago is gone
				if _, _, ok := r.Index.ByHash(hash); !ok {
					rt.Fatalf("%+v removed a version with which entities could start", c)
				}
			}
			r.holds(rt, numbers, &last)
		}
	})
}

func (r *registry) holds(t *rapid.T, numbers map[string]string, last *uint64) {
	if r.Index.Revision < *last {
		t.Fatalf("revision %d after %d", r.Index.Revision, *last)
	}
	*last = r.Index.Revision
	hashes := map[string]bool{}
	for i, m := range r.Index.Models {
		if i > 0 && m.Name <= r.Index.Models[i-1].Name {
			t.Fatalf("model %s after %s", m.Name, r.Index.Models[i-1].Name)
		}
		if _, ok := m.Version(m.Default); !ok || m.Revision > r.Index.Revision {
			t.Fatalf("the default of %+v is not there", m)
		}
		for j, v := range m.Versions {
			key := fmt.Sprint(m.Name, v.Number)
			if known, ok := numbers[key]; ok && known != v.Hash || hashes[v.Hash] || j > 0 && v.Number <= m.Versions[j-1].Number || v.Number > m.Last {
				t.Fatalf("version %d of %+v", v.Number, m)
			}
			numbers[key], hashes[v.Hash] = v.Hash, true
		}
	}
	r.Index.Rules.each(func(where, ref string) {
		if _, _, err := r.Index.Resolve(ref); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
	})
}

func FuzzResolve(f *testing.F) {
	r := newRegistry(f)
	for n := range 20 {
		r.push([]string{"pump", "fan"}[n%2], n)
	}
	f.Add("pump@1")
	f.Add("fan@" + text(f, "fan", 1).Hash)
	f.Fuzz(func(t *testing.T, ref string) {
		m, v, err := r.Index.Resolve(ref)
		if (err == nil) != (m != nil && v != nil) {
			t.Fatalf("%v, %v, %v", m, v, err)
		}
		if err == nil && !strings.HasPrefix(ref, m.Name) && !strings.HasPrefix(v.Hash, ref) {
			t.Fatalf("%q is version %d of %s", ref, v.Number, m.Name)
		}
	})
}

func TestANewerStateIsRefused(t *testing.T) {
	raw, err := Compress([]byte(`{"v":2,"index":7}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeInput(Input{State: raw}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Error(err)
	}
	if _, err := decodeInput(Input{State: []byte("x")}); err == nil {
		t.Error("a state that is not one was read")
	}
}

// Maps are written in the same order each time: a print is that of the request.
func TestPrintsAreStable(t *testing.T) {
	kinds := map[string]string{}
	for i := range 40 {
		kinds[fmt.Sprint("k", rand.IntN(1000), i)] = "x"
	}
	c := Change{Rules: &Rules{Kinds: kinds}}
	first := c.print()
	for range 10 {
		if c.print() != first {
			t.Fatal("two prints of one change")
		}
	}
}
