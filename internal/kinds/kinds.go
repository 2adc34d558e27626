// Package kinds reads which kinds of entities there are: a file that bridge, worker and API
// share, in which each kind has a rule for ids, a model for new entities, and a source.
//
//	kinds:
//	  customer:
//	    id: "[0-9]{4,12}"
//	    model: loyalty
//	    source: api
//	    publish: "crm/customers/{id}"
//
// The kind "device" need not be there. If it is, it has a rule for ids and nothing else.
package kinds

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/source"
)

// Source says where the events of a kind come from.
type Source string

// The sources.
const (
	MQTT  Source = "mqtt"  // dialects read them from messages
	Kafka Source = "kafka" // dialects read them from records
	API   Source = "api"   // they are posted to the API, which starts an entity with its first one
)

var sources = []string{string(MQTT), string(Kafka), string(API)}

// Kind is one kind of entities.
type Kind struct {
	ID      *regexp.Regexp // of the whole name; nil: any name
	Model   string         // name or hash of the model of new entities; "": the only one of the kind
	Source  Source
	Publish string // topic below which entities are sent what they are sent: "crm/{id}"; "": nowhere
}

// Set is the kinds of a file. The nil Set has devices only, with any name.
type Set struct{ byKind map[device.Kind]Kind }

// Read reads a file; "" is the nil Set. The error has every fault with its place.
func Read(file string) (*Set, error) {
	if file == "" {
		return nil, nil
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read kinds: %w", err)
	}
	return Load(file, src)
}

// Load reads the content of a file.
func Load(file string, src []byte) (*Set, error) {
	f := source.Parse(file, src)
	root := f.Root()
	if !root.Exists() && f.Err() == nil {
		root.Faultf("the file is empty; expected kinds: {customer: {source: api}}")
	}
	fields := root.Fields("kinds")
	root.Require(fields, "kinds")
	s := &Set{byKind: map[device.Kind]Kind{}}
	for _, e := range fields["kinds"].Entries() {
		kind, err := device.ParseKind(e.Key)
		if err != nil {
			e.KeyAt.Faultf("%v", err)
			continue
		}
		s.byKind[kind] = read(kind, e.Value)
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func read(kind device.Kind, n source.Node) Kind {
	f := n.Fields("id", "model", "source", "publish", "description")
	k := Kind{Model: f["model"].String(), Source: MQTT, Publish: f["publish"].String()}
	if v := f["id"]; v.Exists() {
		var err error
		if k.ID, err = regexp.Compile("^(?:" + v.String() + ")$"); err != nil {
			v.Faultf("id %q: expected a regular expression: %v", v.String(), err)
		}
	}
	if kind == device.KindDevice {
		for _, key := range []string{"model", "source", "publish"} {
			f[key].Faultf("%s: expected only id of the kind device, which has its own topics, and its models by --model", key)
		}
		return k
	}
	n.Require(f, "source")
	if v := f["source"]; v.Exists() {
		if k.Source = Source(v.String()); !slices.Contains(sources, v.String()) {
			v.FaultHint(source.DidYouMean(v.String(), sources), "source %q: expected one of %s", v.String(), strings.Join(sources, ", "))
		}
	}
	return k
}

// Of is what is known of a kind; false: it is not configured. Devices are a kind always.
func (s *Set) Of(kind device.Kind) (k Kind, known bool) {
	if s != nil {
		k, known = s.byKind[kind]
	}
	if kind == device.KindDevice {
		k.Source, known = MQTT, true
	}
	return k, known
}

// Check is what keeps an id from being that of an entity: its kind is not known, or its name is
// not as the kind's rule says. The id is valid otherwise.
func (s *Set) Check(id device.ID) error {
	k, known := s.Of(id.Kind())
	switch {
	case !known:
		return fmt.Errorf("kind %q is not configured (--kinds); there is %s", id.Kind().Word(), s.words())
	case k.ID != nil && !k.ID.MatchString(id.Name()):
		return fmt.Errorf("%s id %q: expected %s", id.Kind().Word(), id.Name(), k.ID)
	}
	return nil
}

// CheckKind is Check for all entities of a kind.
func (s *Set) CheckKind(kind device.Kind) error {
	if _, known := s.Of(kind); !known {
		return s.Check(device.ID(string(kind) + "/x"))
	}
	return nil
}

// Others are the kinds that are not devices, sorted.
func (s *Set) Others() []device.Kind {
	if s == nil {
		return nil
	}
	all := slices.Sorted(maps.Keys(s.byKind))
	return slices.DeleteFunc(all, func(k device.Kind) bool { return k == device.KindDevice })
}

func (s *Set) words() string {
	words := []string{device.KindDevice.Word()}
	for _, k := range s.Others() {
		words = append(words, k.Word())
	}
	return strings.Join(words, ", ")
}

// Topics are those below which entities are published to, by their kinds: see
// wire.Config.EntityTopics. Nil: there are none.
func (s *Set) Topics() map[device.Kind]string {
	var topics map[device.Kind]string
	for _, kind := range s.Others() {
		if k := s.byKind[kind]; k.Publish != "" {
			if topics == nil {
				topics = map[device.Kind]string{}
			}
			topics[kind] = k.Publish
		}
	}
	return topics
}
