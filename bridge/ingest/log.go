package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/internal/recordlog"
)

// Before is the instance of the last process that appended to the log; "" if there was
// none, or there is no log. Instance is that of this one.
func (i *Ingest) Before() string { return i.before }

// Recovered is where the log ended when this process opened it, and how many messages in it
// waited.
func (i *Ingest) Recovered() (end int64, waiting int) { return i.recovered, i.waited }

// Instance distinguishes this process from all others that ever delivered messages.
func (i *Ingest) Instance() string { return i.core.instance }

// Elsewhere notes that another process may have taken messages of the devices since the
// last one that came in here. It is called before more come in.
func (i *Ingest) Elsewhere() { i.do(func(c *core) { c.elsewhere(time.Now()) }) }

// followLog reports to the core how far the log is on the disk, and returns what is closed when
// there is news.
func (i *Ingest) followLog() <-chan struct{} {
	if i.deps.Journal == nil {
		return nil
	}
	c := i.core
	changed := i.deps.Journal.Changed()
	if durable := i.deps.Journal.Durable(); durable > c.logged || c.blocked.len() > 0 {
		c.reached(durable, time.Now())
	}
	return changed
}

// saveLog notes how far the log is done with, and has a checkpoint taken when one is due.
func (i *Ingest) saveLog(now time.Time) {
	if i.deps.Journal == nil {
		return
	}
	if to := i.core.settledTo(); to > i.saver.settled {
		i.saver.settled = to
		i.signals.Commit(to)
	}
	i.saver.begin(i, now)
	i.observeLog(now)
}

// read fills in the messages of a batch that are only in the log. What is damaged there is
// left out of the batch, and counted.
func (i *Ingest) read(d *delivery) error {
	removed := 0
	var a *history.Arrival
	var err error
	last := int64(-1)
	for _, u := range d.unread {
		u.index -= removed
		if u.record != last {
			a, err = i.arrivalAt(u.record)
			last = u.record
		}
		switch {
		case err == nil && u.nth < len(a.Outgoing):
			pos := d.Batch.Messages[u.index].Pos
			d.Batch.Messages[u.index] = a.Outgoing[u.nth].Message
			d.Batch.Messages[u.index].Pos = pos
			continue
		case errors.Is(err, recordlog.ErrErased): // its device was deleted
		case err != nil && !errors.Is(err, recordlog.ErrDamaged):
			return err
		default:
			d.lost++
			i.log.Error("a message in the log cannot be read, and is lost", "device", d.ID, "position", u.record, "error", err)
		}
		d.Batch.Messages = append(d.Batch.Messages[:u.index], d.Batch.Messages[u.index+1:]...)
		removed++
	}
	return nil
}

func (i *Ingest) arrivalAt(position int64) (*history.Arrival, error) {
	r, err := i.deps.Journal.ReadAt(position)
	if err != nil {
		return nil, err
	}
	a, err := history.ReadArrival(r.Data, r.At)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", recordlog.ErrDamaged, err)
	}
	return a, nil
}

// deadLetterOf publishes a dead letter whose arrival is only in the log.
func (i *Ingest) deadLetterOf(l unreadLetter) {
	a, err := i.arrivalAt(l.record)
	if err != nil {
		i.log.Error("a dead letter cannot be read from the log", "position", l.record, "reason", l.Reason, "detail", l.Detail, "error", err)
		return
	}
	if i.deps.Outlet != nil {
		i.deps.Outlet.DeadLetter(DeadLetter{Arrival{Origin: a.Origin, Payload: a.Payload, At: a.At}, l.Refused}, func() {})
	}
}

// saver writes checkpoints.
type saver struct {
	taken   *checkpoint // the one that is being taken; nil: none
	last    int64       // position at which the last one was begun
	needed  int64       // and from which it needs the log
	lastAt  time.Time
	settled int64
	writing bool
	failing bool
	more    chan struct{}
	written chan error
}

// checkpointEvery is the time between two checkpoints, if something came meanwhile.
const (
	checkpointEvery = 15 * time.Second
	checkpointFull  = time.Second // if the log is full
)

// checkpointShare is the part of the log's size after which there is one earlier.
const checkpointShare = 8

// due reports that enough time has passed since the last checkpoint, or that enough has
// come: the log keeps what came since then, also what is not the bridge's.
func (s *saver) due(i *Ingest, now time.Time) bool {
	c, passed := i.core, now.Sub(s.lastAt)
	switch {
	case c.appended-s.last >= i.deps.Journal.MaxBytes()/checkpointShare:
		return true
	case c.blocked.len() > 0: // the log may be full of what the next one makes needless
		return passed >= checkpointFull
	}
	return passed >= checkpointEvery && c.own > s.needed
}

func (s *saver) begin(i *Ingest, now time.Time) {
	if s.lastAt.IsZero() {
		s.lastAt, s.more, s.written = now, make(chan struct{}, 1), make(chan error, 1)
	}
	if s.taken != nil || s.writing || i.core.appended == s.last && i.core.needed() == s.needed || !s.due(i, now) {
		return
	}
	s.lastAt = now
	s.taken = i.core.beginCheckpoint(now)
	poke(s.more)
}

// step takes some devices, and has the checkpoint written after the last one.
func (s *saver) step(i *Ingest) {
	if s.taken == nil {
		return
	}
	if !i.core.stepCheckpoint(s.taken, checkpointStep) {
		poke(s.more)
		return
	}
	k := s.taken
	s.taken, s.writing, s.last, s.needed = nil, true, k.head.From, k.needed
	go func() { s.written <- i.writeCheckpoint(context.Background(), k) }()
}

// writeCheckpoint writes a checkpoint, once the log is as far as it.
func (i *Ingest) writeCheckpoint(ctx context.Context, k *checkpoint) error {
	if err := i.deps.Journal.Wait(ctx, k.head.UpTo); err != nil {
		return err
	}
	if err := i.deps.Journal.WriteFile(checkpointName, k.content()...); err != nil {
		return err
	}
	i.checkpoints.Commit(k.needed)
	return nil
}

func (s *saver) ended(i *Ingest, err error) {
	s.writing = false
	switch {
	case err == nil && s.failing:
		i.log.Info("checkpoints are written again")
	case err != nil && !s.failing && !errors.Is(err, recordlog.ErrClosed) && !errors.Is(err, fs.ErrClosed):
		i.log.Warn("cannot write a checkpoint; after a crash more of the log is read", "error", err)
	}
	s.failing = err != nil
}

// closing bounds the last checkpoint.
const closing = 2 * time.Second

// closeLog writes the last checkpoint.
func (i *Ingest) closeLog() {
	if i.deps.Journal == nil {
		return
	}
	if i.saver.writing {
		<-i.saver.written
	}
	c := i.core
	i.signals.Commit(c.settledTo())
	k := c.beginCheckpoint(time.Now())
	for !c.stepCheckpoint(k, checkpointStep) {
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if err := i.writeCheckpoint(ctx, k); err != nil {
		i.log.Warn("cannot write the last checkpoint; after the start more of the log is read", "error", err)
	}
	i.signals.Close()
	i.checkpoints.Close()
}
