package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/bridge/ingest"
	"devicetwin/internal/recordlog"
	"devicetwin/points"
	"devicetwin/wire"
	twinclient "devicetwin/workflows/client"
)

// JournalPlan is the log of a process: what its bridge received, and its points.
type JournalPlan struct {
	recordlog.Config // an empty Dir: there is none
	// Spool is a folder in which an earlier release may have left points.
	Spool string
}

// journal is the log that a process is to have. A bridge and a worker in one process have
// one log.
func (c Config) journal(parts Parts) (p JournalPlan, err error) {
	flag := "--worker-log"
	p.Dir, p.MaxBytes, p.MaxAge = c.Worker.Log, c.Worker.LogMax, c.Worker.LogAge
	var faults []error
	if parts.has(Bridge) {
		flag = "--bridge-log"
		p.Dir, p.MaxBytes, p.MaxAge = c.Bridge.Log, c.Bridge.LogMax, c.Bridge.LogAge
		if w, d := c.Worker, DefaultConfig().Worker; parts.has(Worker) && (w.Log != d.Log || w.LogMax != d.LogMax || w.LogAge != d.LogAge) {
			faults = append(faults, errors.New("log of the worker (--worker-log, --worker-log-max, --worker-log-age): the bridge is in the same process; expected --bridge-log"))
		}
	}
	if p.Dir == "" && c.Influx.Spool != "" {
		flag, p.Dir = "--influx-spool", c.Influx.Spool
		if c.Influx.SpoolMax > 0 {
			p.MaxBytes = c.Influx.SpoolMax
		}
	}
	if parts.has(Bridge) && c.Bridge.Ack == ackLogged && p.Dir == "" {
		faults = append(faults, errors.New("acknowledgement (--bridge-ack) logged: expected a log (--bridge-log)"))
	}
	if p.Dir == "" {
		return JournalPlan{}, errors.Join(faults...)
	}
	if err := p.Config.Validate(); err != nil {
		faults = append(faults, fmt.Errorf("log (%s): %w", flag, err))
	}
	if p.Spool = c.Influx.Spool; p.Spool == "" {
		p.Spool = p.Dir
	}
	return p, errors.Join(faults...)
}

// startJournal opens the log of the process. Nil: it has none.
func (s *Service) startJournal(p Plan) (*recordlog.Log, error) {
	cfg := p.Journal.Config
	if cfg.Dir == "" {
		return nil, nil
	}
	keys, err := p.Temporal.readKeys()
	if err != nil {
		return nil, err
	}
	if keys != nil {
		cfg.Keys = keys
	}
	log, err := recordlog.Open(cfg, s.log)
	if err != nil {
		return nil, err
	}
	s.onClose("log", func(context.Context) error { return log.Close() })
	if p.Parts.has(Bridge | Kafka) {
		if err := log.Hold(ingest.Cursors()...); err != nil {
			return nil, err
		}
	}
	return log, nil
}

// readings are those in a record of the log.
func readings(r recordlog.Record, yield func(points.Reading)) error {
	if r.Kind != history.KindArrival {
		return nil
	}
	return history.EachReading(r.Data, func(m history.Reading) {
		yield(points.Reading{Model: m.Measurement, Device: string(m.ID), Object: m.Object, Except: notReadings, Time: m.At})
	})
}

// notReadings are the members of a message that are not telemetry.
var notReadings = wire.ReservedKeys()

// endingsFile is, next to the log, up to when the ends of workflows are known.
const endingsFile = "endings"

// remember lets a watch go on where that of the process before ended: what a bridge
// remembers across restarts is only good if it learns of the workflows that ended meanwhile.
func (s *Service) remember(watch *twinclient.EndingWatch, journal *recordlog.Log, remembers bool) {
	parts, err := journal.ReadFile(endingsFile)
	if err == nil && len(parts) == 1 {
		err = watch.Since.UnmarshalText(parts[0])
	}
	if remembers && (err != nil || watch.Since.IsZero()) {
		watch.Since = time.Unix(0, 0) // longer ago than any list goes back
	}
	watch.Done = func(until time.Time) {
		text, err := until.UTC().MarshalText()
		if err == nil {
			err = journal.WriteFile(endingsFile, text)
		}
		if err != nil {
			s.log.Debug("cannot write up to when the ends of workflows are known", "error", err)
		}
	}
}
