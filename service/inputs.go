package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/internal/backoff"
	devicejournal "devicetwin/internal/journal"
	"devicetwin/internal/modelfile"
)

// journal is that of the inputs of state machines; without a folder, there is none.
func (c WorkerConfig) journal(process string) (devicejournal.Config, error) {
	j := devicejournal.Config{Dir: c.Journal, Process: process, MaxBytes: c.JournalMax, MaxAge: c.JournalAge}
	if c.Journal == "" {
		return j, nil
	}
	if err := j.Validate(); err != nil {
		return j, fmt.Errorf("journal (--worker-journal, --worker-journal-max, --worker-journal-age): %w", err)
	}
	return j, nil
}

// startInputs starts the journal of the worker, with copies of the models that the process has.
// Nil: there is none.
func (s *Service) startInputs(p Plan, models models, known *modelRegistry, metrics prometheus.Registerer) (*devicejournal.Writer, error) {
	c := p.Worker.Journal
	if c.Dir == "" {
		return nil, nil
	}
	keys, err := p.Temporal.readKeys()
	if err != nil {
		return nil, err
	}
	if keys != nil {
		c.Keys = keys
	}
	counts := devicejournal.NewCounts()
	if err := counts.Register(metrics); err != nil {
		return nil, err
	}
	w, err := devicejournal.Open(c, counts, s.log) // before the copies: it makes the folder
	if err != nil {
		return nil, err
	}
	copies, err := modelfile.OpenCopies(filepath.Join(c.Dir, devicejournal.ModelsFolder))
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, f := range models.files {
		faults = append(faults, copies.Keep(f.Model.Hash(), f.Name, f.Source))
	}
	for _, m := range models.kept {
		if f, err := models.copies.File(m.Hash()); err == nil {
			faults = append(faults, copies.Keep(m.Hash(), f.Name, f.Source))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	known.journaled.Store(copies)
	s.runUsed("journal", w.Run)
	return w, nil
}

// inputsWait is how long another process may need for its own file of the journal.
var inputsWait = backoff.New(time.Second, time.Minute)

// eraseInputs erases from the journal, if there is one. waits: it is to be tried again.
func (e *eraser) eraseInputs(ctx context.Context, list []erasure) (waits bool, err error) {
	if e.inputs == nil {
		return false, nil
	}
	devices := erased{}
	for _, item := range list {
		if !item.Journaled && item.Before.After(devices[item.Device]) {
			devices[item.Device] = item.Before
		}
	}
	switch {
	case len(devices) == 0:
		return false, nil
	case time.Now().Before(e.inputsAgain):
		return true, nil
	}
	waits, err = e.inputs.Erase(ctx, devices)
	if waits {
		e.inputsAgain = time.Now().Add(inputsWait(e.inputsTries))
		e.inputsTries++
	} else {
		e.inputsTries = 0
	}
	if waits || err != nil {
		return waits, err
	}
	return false, e.change(func(s *erasures) {
		for i, item := range s.Pending {
			s.Pending[i].Journaled = item.Journaled || devices.of(item.Device, item.Before)
		}
	})
}
