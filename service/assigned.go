package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
)

// assignable is a bridge whose models can be replaced.
type assignable interface {
	Ready() error
	Assign(ctx context.Context, to ingest.Assignment) error
}

// assigned is a bridge that is started with models.
type assigned struct {
	name   string
	source string   // of its messages, as rules of the registry name it
	rules  []string // of its flags
	// check reports an assignment with which the bridge cannot work.
	check func(ingest.Assignment) error
	// start starts the bridge as parts of a service. Deliveries that name no model are of the one
	// with the hash unnamed; "": each names its model.
	start func(s *Service, a ingest.Assignment, unnamed string) (assignable, error)
}

// startAssigned starts a bridge: with the models of files and flags, or, with a registry, as soon as
// that is read. What it returns is nil while the bridge is ready.
func (s *Service) startAssigned(p Plan, m models, watch *registryWatch, b assigned) (ready func(context.Context) error, err error) {
	if watch != nil {
		return s.startLater(p, m, watch, b), nil
	}
	a := ingest.Assignment{Models: bridgeModels(m.given), Kept: bridgeModels(m.kept), Kinds: ingestKinds(m.kinds), Rules: b.rules}
	unnamed := ""
	if p.Models.Model != "" {
		a.Model, unnamed = m.given[0], m.given[0].Hash()
	}
	bridge, err := b.start(s, a, unnamed)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return bridge.Ready() }, nil
}

// laterBridge is a bridge that begins when the registry says which models there are, and is told
// when that changes. Until then it is not connected to the broker, where messages wait. It would not know
// which may be left out, nor with which model a new device starts. If the registry cannot be
// read for some time, it begins with what an earlier process knew: it takes messages, so that they are
// in its log, and neither leaves out nor delivers any before the registry is read.
type laterBridge struct {
	assigned
	watch      *registryWatch
	assignment func(*registryView) (ingest.Assignment, error)
	service    *Service // has what the bridge consists of
	bridge     assignable
	begun      chan struct{} // closed when there is a bridge
	waits      atomic.Pointer[error]
}

var errRegistryNotRead = errors.New("waiting for the registry of models")

func (s *Service) startLater(p Plan, m models, watch *registryWatch, b assigned) (ready func(context.Context) error) {
	l := &laterBridge{
		assigned: b, watch: watch, service: &Service{log: s.log, failed: s.failed}, begun: make(chan struct{}),
		assignment: func(v *registryView) (ingest.Assignment, error) { return v.assignment(b.source, p.Kinds, m.all()) },
	}
	l.waitsFor(errRegistryNotRead)
	stop := background(func(ctx context.Context) { watch.each(ctx, func(v *registryView) { l.take(ctx, v) }) })
	s.onStop(b.name, func(ctx context.Context) error { return errors.Join(stop(ctx), l.service.Close()) })
	s.forget = l.forget
	return l.ready
}

func (l *laterBridge) waitsFor(what error) { l.waits.Store(&what) }

func (l *laterBridge) ready(context.Context) error {
	select {
	case <-l.begun:
	default:
		return *l.waits.Load()
	}
	if !l.watch.isRead() {
		return errRegistryNotRead
	}
	return l.bridge.Ready()
}

// take begins the bridge, or gives it other models. With what cannot be used, it goes on as before.
func (l *laterBridge) take(ctx context.Context, v *registryView) {
	a, err := l.assignment(v)
	if err == nil {
		err = l.check(a)
	}
	if err != nil {
		err = fmt.Errorf("revision %d of the registry of models cannot be used: %w", v.index.Revision, err)
		l.service.log.Error("the rules of the registry leave devices without a model; devicetwin model push and rules change that", "part", l.name, "error", err)
		l.waitsFor(err)
		return
	}
	if l.bridge != nil {
		if err := l.bridge.Assign(ctx, a); err != nil && ctx.Err() == nil && !errors.Is(err, ingest.ErrEnded) {
			l.service.log.Error("the bridge goes on with the models that it has", "part", l.name, "error", err)
		}
		return
	}
	bridge, err := l.start(l.service, a, "")
	if err != nil {
		l.service.fail(fmt.Errorf("start the %s: %w", l.name, err))
		l.waitsFor(err)
		return
	}
	l.bridge = bridge
	close(l.begun)
}

// forget has the bridge forget devices, when there is one.
func (l *laterBridge) forget(ctx context.Context, ids ...device.ID) {
	select {
	case <-l.begun:
		l.service.forget(ctx, slices.Clone(ids)...)
	case <-ctx.Done():
	}
}
