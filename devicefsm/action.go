package devicefsm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"devicetwin/internal/text"
)

// action is a step of a block of actions: of an entry, an exit or a
// transition. An error ends its block, as in SCXML (4.10, executable content).
type action interface {
	run(r *run) error
}

// assignAction sets keys of the context. All its values are computed from the
// context before it.
type assignAction struct{ values *template }

func (a assignAction) run(r *run) error {
	v, err := a.values.eval(&r.scope)
	if err != nil {
		return err
	}
	set, _ := v.(map[string]any)
	next := maps.Clone(r.s.context)
	if next == nil {
		next = map[string]any{}
	}
	maps.Copy(next, set)
	if jsonSize(next, maxValueSize) > maxValueSize {
		return fmt.Errorf("the context would become larger than %d bytes", maxValueSize)
	}
	r.s.context, r.scope.context = next, next
	return nil
}

// raiseAction queues an event of the chart itself, at once or after a delay.
type raiseAction struct {
	event string
	data  *template
	delay *delay // nil: at once
	id    string // for cancel
}

func (a raiseAction) run(r *run) error {
	data, err := a.data.object(&r.scope)
	if err != nil {
		return err
	}
	if a.delay == nil {
		r.queue = append(r.queue, trigger{name: a.event, data: data})
		return nil
	}
	d, err := a.delay.length(&r.scope)
	if err != nil {
		return err
	}
	return r.schedule(timer{state: -1, due: r.at + d, wall: r.s.service + d, event: a.event, data: data, id: a.id})
}

// cancelAction takes back delayed raises.
type cancelAction struct{ id string }

func (a cancelAction) run(r *run) error {
	r.s.timers = slices.DeleteFunc(slices.Clone(r.s.timers), func(t timer) bool { return t.state < 0 && t.id == a.id })
	return nil
}

// effectAction is what the caller of Step carries out: command, publish,
// notify and desire.
type effectAction struct {
	kind   string
	name   string
	data   *template
	ttl    time.Duration
	retain bool
	// deliveries and replace are a command's, within a desire's.
	deliveries int
	replace    bool
	within     time.Duration
}

func (a effectAction) run(r *run) error {
	data, err := a.data.object(&r.scope)
	if err != nil {
		return err
	}
	name := a.kind
	if a.kind == ActionCommand {
		name = a.name
	}
	action := Action{
		Type: a.kind, ID: r.nextID(name), Name: a.name, Data: data, TTL: a.ttl, MaxDeliveries: a.deliveries,
		Retain: a.retain, Replace: a.replace, Within: a.within,
	}
	if a.kind == ActionNotify {
		at := max(r.s.shown, r.at)
		action.At = fromMillis(at)
		if r.s.service != at {
			action.Arrived = fromMillis(r.s.service)
		}
	}
	r.emit(action)
	return nil
}

// logAction is a message for people; what is not a string is written as JSON.
type logAction struct{ message *template }

func (a logAction) run(r *run) error {
	v, err := a.message.eval(&r.scope)
	if err != nil {
		return err
	}
	text, ok := v.(string)
	if !ok {
		if text, err = messageText(v, r.m.edition); err != nil {
			return fmt.Errorf("write the message: %w", err)
		}
	}
	r.emit(Action{Type: ActionLog, ID: r.nextID(ActionLog), Data: map[string]any{"message": text}})
	return nil
}

// messageText is what is not a string as JSON, in which the first edition escaped what means
// something in HTML.
func messageText(v any, edition int) (string, error) {
	if edition >= EditionNow {
		return text.JSON(v)
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// ifAction chooses between two blocks.
type ifAction struct {
	cond    *expr
	yes, no []action
}

func (a ifAction) run(r *run) error {
	ok, err := a.cond.test(&r.scope)
	if err != nil {
		r.fault("if %q: %v", a.cond.source, err)
	}
	block := a.no
	if ok {
		block = a.yes
	}
	for _, x := range block {
		if err := x.run(r); err != nil {
			return err
		}
	}
	return nil
}
