package dialects

import (
	"os"
	"slices"
	"testing"

	"devicetwin/devicefsm"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// others are the dialects other than the built-in one: see TestStandardSamples.
func others() []string {
	return slices.DeleteFunc(Names(), func(name string) bool { return name == dialect.StandardName })
}

// Each dialect makes of its samples what they say, on its own and next to all others; and
// each of its topics has a sample.
func TestSamples(t *testing.T) {
	var all []*dialect.Dialect
	for _, name := range others() {
		d, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if d.Name() != name || d.Description() == "" {
			t.Errorf("%s: it is called %q, and described %q", name, d.Name(), d.Description())
		}
		all = append(all, d)
	}
	together, err := dialect.NewSet(wire.DefaultConfig(), all...)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range others() {
		t.Run(name, func(t *testing.T) {
			alone, err := dialect.NewSet(wire.DefaultConfig(), all[i])
			if err != nil {
				t.Fatal(err)
			}
			samples := samplesOf(t, name)
			for _, s := range samples {
				s.Dialect = name
				for _, set := range []*dialect.Set{alone, together} {
					if err := s.Check(set); err != nil {
						t.Errorf("%s: %v", s.Origin, err)
						break
					}
				}
				if s.Origin == "" {
					t.Errorf("%s: the sample does not say what it follows", s.Place())
				}
			}
			for _, topic := range all[i].Unused(samples) {
				t.Errorf("no sample has the topic %s", topic)
			}
			for _, entry := range all[i].Unsent(samples) {
				t.Errorf("no sample sends by the entry at %s", entry)
			}
		})
	}
}

func samplesOf(t *testing.T, name string) []dialect.Sample {
	t.Helper()
	file, src, err := Samples(name)
	if err != nil {
		t.Fatal(err)
	}
	samples, err := dialect.LoadSamples(file, src)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

func TestModels(t *testing.T) {
	for _, name := range others() {
		src, err := os.ReadFile(name + "/model.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := devicefsm.Load(name+"/model.yaml", src); err != nil {
			t.Error(err)
		}
	}
}
