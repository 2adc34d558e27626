package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// The order of what every request to an operation passes: observe, authorize,
// limit, and then huma's validation.

// observe records metrics of requests.
func (s *Server) observe(ctx huma.Context, next func(huma.Context)) {
	began := time.Now()
	next(ctx)
	s.metrics.request(ctx.Operation().OperationID, ctx.Status(), time.Since(began))
}

// authorize identifies the caller, checks its scopes, and writes the audit record.
func (s *Server) authorize(ctx huma.Context, next func(huma.Context)) {
	caller, err := s.caller(ctx)
	base := context.WithValue(ctx.Context(), noteKey{}, &note{})
	if err != nil {
		caller.Name = "nobody"
	}
	with := huma.WithContext(ctx, context.WithValue(base, callerKey{}, caller))
	defer s.audit(with, caller)
	scope := scopeOf(ctx.Operation())
	switch {
	case errors.Is(err, ErrTokensUnchecked):
		s.log.Error("cannot check the token", "id", requestID(ctx.Context()), "error", err)
		writeTo(with, http.StatusServiceUnavailable, "tokens can't be checked now")
	case err != nil:
		with.SetHeader("WWW-Authenticate", `Bearer realm="devicetwin"`)
		writeTo(with, http.StatusUnauthorized, err.Error())
	case !caller.May(scope):
		with.SetHeader("WWW-Authenticate", `Bearer realm="devicetwin", error="insufficient_scope", scope="`+string(scope)+`"`)
		writeTo(with, http.StatusForbidden, caller.Name+" may not do this: it needs the scope "+string(scope))
	default:
		next(with)
	}
}

func (s *Server) caller(ctx huma.Context) (Caller, error) {
	if s.auth == nil {
		return Anonymous, nil
	}
	scheme, token, ok := strings.Cut(ctx.Header("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" {
		return Caller{}, errors.New("expected the header Authorization: Bearer TOKEN")
	}
	caller, err := s.auth.Authenticate(ctx.Context(), strings.TrimSpace(token))
	if err != nil && !errors.Is(err, ErrTokensUnchecked) {
		s.log.Info("token rejected", "id", requestID(ctx.Context()), "from", ctx.RemoteAddr(), "error", err)
		return Caller{}, ErrUnauthenticated // the response does not say why
	}
	return caller, err
}

// scopeOf is the scope that an operation needs.
func scopeOf(op *huma.Operation) Scope {
	if scope, ok := op.Metadata[scopeKey].(Scope); ok {
		return scope
	}
	return ScopeAdmin
}

// limit bounds the time of a request that is not a stream.
func (s *Server) limit(ctx huma.Context, next func(huma.Context)) {
	if id := ctx.Operation().OperationID; id == streamOperation || id == entityStreamOperation {
		next(ctx)
		return
	}
	_, w := humago.Unwrap(ctx)
	// A recorder in a test has no deadline, a connection has.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.timeout + writeGrace))
	limited, cancel := context.WithTimeout(ctx.Context(), s.timeout)
	defer cancel()
	next(huma.WithContext(ctx, limited))
}

// once refuses a query parameter that comes twice, of which huma reads the first, and one that
// is empty and not a string: huma takes it for one that is not there.
func once(ctx huma.Context, next func(huma.Context)) {
	at := ctx.URL()
	values := at.Query()
	for _, p := range ctx.Operation().Parameters {
		given := values[p.Name]
		switch {
		case p.In != "query":
		case len(given) > 1:
			writeTo(ctx, http.StatusBadRequest, fmt.Sprintf("the query parameter %s is given %d times, expected once", p.Name, len(given)))
			return
		case len(given) == 1 && given[0] == "" && p.Schema != nil && p.Schema.Type != huma.TypeString:
			writeTo(ctx, http.StatusUnprocessableEntity, fmt.Sprintf("the query parameter %s is empty, expected a value of type %s", p.Name, p.Schema.Type))
			return
		}
	}
	next(ctx)
}

// writeGrace is for writing a response that was ready at the last moment.
const writeGrace = 10 * time.Second

func writeTo(ctx huma.Context, status int, detail string) {
	ctx.SetHeader("Content-Type", "application/problem+json")
	if status == http.StatusServiceUnavailable {
		ctx.SetHeader("Retry-After", "5")
	}
	ctx.SetStatus(status)
	_ = huma.DefaultJSONFormat.Marshal(ctx.BodyWriter(), &huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail})
}
