package window

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// wire is a State as JSON: short keys, and an array for each pane.
type wire struct {
	Seen   *int64     `json:"t,omitempty"`
	Lag    int64      `json:"l,omitempty"`
	Closed *int64     `json:"c,omitempty"`
	Late   uint64     `json:"late,omitempty"`
	Panes  []wirePane `json:"p,omitempty"`
}

// wirePane is [index, count, value, lag, hashes], without what is 0 or nothing at its end.
// Hashes are 8 bytes each, in base64.
type wirePane pane

const (
	// maxWirePanes bounds what is read, well above what any window may write.
	maxWirePanes = 2 * MaxPanes
	// maxExact is the largest integer that any JSON reader keeps exactly.
	maxExact = 1 << 53
)

// MarshalJSON writes the same bytes for the same state; null if nothing was counted.
func (s State) MarshalJSON() ([]byte, error) {
	if s.d == nil {
		return []byte("null"), nil
	}
	w := wire{Seen: orNil(s.d.seen), Lag: s.d.lag, Closed: orNil(s.d.closed), Late: s.d.late}
	for i := range s.d.panes {
		w.Panes = append(w.Panes, wirePane(s.d.panes[i]))
	}
	out, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("write window: %w", err)
	}
	return out, nil
}

func orNil(at int64) *int64 {
	if at == never {
		return nil
	}
	return &at
}

// MarshalJSON implements json.Marshaler.
func (p wirePane) MarshalJSON() ([]byte, error) {
	list := []any{p.index, p.count, p.value, p.lag}
	if p.hashes != nil {
		raw := make([]byte, 0, 8*len(p.hashes))
		for _, h := range p.hashes {
			raw = binary.BigEndian.AppendUint64(raw, h)
		}
		list = append(list, base64.RawStdEncoding.EncodeToString(raw))
	} else {
		for len(list) > 2 && (list[len(list)-1] == int64(0) || list[len(list)-1] == 0.0) {
			list = list[:len(list)-1]
		}
	}
	return json.Marshal(list)
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *wirePane) UnmarshalJSON(text []byte) error {
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	if len(list) < 2 || len(list) > 5 {
		return fmt.Errorf("a pane of %d values", len(list))
	}
	*p = wirePane{}
	var hashes string
	for i, to := range []any{&p.index, &p.count, &p.value, &p.lag, &hashes}[:len(list)] {
		if err := json.Unmarshal(list[i], to); err != nil {
			return fmt.Errorf("pane: %w", err)
		}
	}
	if len(list) < 5 {
		return nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(hashes)
	switch {
	case err != nil:
		return fmt.Errorf("hashes of a pane: %w", err)
	case len(raw)%8 != 0:
		return errors.New("hashes of a pane: cut short")
	}
	p.hashes = make([]uint64, len(raw)/8)
	for i := range p.hashes {
		p.hashes[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	return nil
}

// UnmarshalJSON reads what MarshalJSON wrote. Whether it fits a window says
// Window.Accepts.
func (s *State) UnmarshalJSON(text []byte) error {
	var w *wire
	if err := json.Unmarshal(text, &w); err != nil {
		return fmt.Errorf("read window: %w", err)
	}
	if w == nil {
		*s = State{}
		return nil
	}
	d := &data{seen: orNever(w.Seen), lag: w.Lag, closed: orNever(w.Closed), late: w.Late}
	for _, p := range w.Panes {
		d.panes = append(d.panes, pane(p))
	}
	if err := d.check(); err != nil {
		return fmt.Errorf("read window: %w", err)
	}
	*s = State{d}
	return nil
}

func orNever(at *int64) int64 {
	if at == nil {
		return never
	}
	return *at
}

// check finds what no window writes.
func (d *data) check() error {
	switch {
	case !exactOrNever(d.seen) || !exactOrNever(d.closed):
		return errors.New("a time or a window is out of range")
	case d.lag < 0 || d.lag > maxExact || d.late > maxExact:
		return errors.New("a lag or a count is out of range")
	case len(d.panes) > maxWirePanes:
		return fmt.Errorf("more than %d panes", maxWirePanes)
	}
	for i := range d.panes {
		p := &d.panes[i]
		switch {
		case p.index < -maxExact || p.index > maxExact || p.lag < 0 || p.lag > maxExact:
			return errors.New("the time of a pane is out of range")
		case i > 0 && p.index <= d.panes[i-1].index:
			return errors.New("panes are not in order")
		case p.count < 1 || p.count > maxExact:
			return errors.New("the count of a pane is out of range")
		case !(math.Abs(p.value) <= MaxNumber*maxExact):
			return errors.New("the value of a pane is out of range")
		case len(p.hashes) > maxValues || uint64(len(p.hashes)) > p.count:
			return errors.New("a pane has too many hashes")
		}
		for j := 1; j < len(p.hashes); j++ {
			if p.hashes[j] <= p.hashes[j-1] {
				return errors.New("hashes of a pane are not in order")
			}
		}
	}
	return nil
}

func exactOrNever(at int64) bool { return at == never || at >= -maxExact && at <= maxExact }

// Accepts is why a state is not one of this window, or nil.
func (w *Window) Accepts(s State) error {
	d := s.data()
	if len(d.panes) > w.panes {
		return fmt.Errorf("%d panes; the window has at most %d", len(d.panes), w.panes)
	}
	for i := range d.panes {
		p := &d.panes[i]
		switch n := len(p.hashes); {
		case n > w.values:
			return fmt.Errorf("a pane of %d values; the window keeps at most %d", n, w.values)
		case (n > 0) != (w.aggregate == Distinct):
			return errors.New("the panes are those of another aggregate")
		case p.index <= d.closed-w.length+1:
			return errors.New("a pane whose windows have all closed")
		}
	}
	return nil
}
