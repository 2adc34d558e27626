package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// audit writes a record for each requested change: caller, operation, device,
// time and result; also for those that were refused.
func (s *Server) audit(ctx huma.Context, caller Caller) {
	op := ctx.Operation()
	if op.Method == http.MethodGet {
		return
	}
	result := "done"
	switch status := ctx.Status(); {
	case status >= 500 || status == 0: // 0: it panicked
		result = "failed"
	case status >= 400:
		result = "refused"
	}
	attrs := []slog.Attr{
		slog.String("who", caller.Name), slog.String("what", op.OperationID), slog.String("device", entityOf(ctx)),
		slog.String("result", result), slog.Int("status", ctx.Status()),
		slog.String("id", requestID(ctx.Context())), slog.String("from", ctx.RemoteAddr()),
	}
	if note := noteOf(ctx.Context()); note != nil {
		attrs = append(attrs, note.attrs...)
	}
	s.auditLog.LogAttrs(ctx.Context(), slog.LevelInfo, "change", attrs...)
}

// note is what an operation adds to its record.
type note struct{ attrs []slog.Attr }

type noteKey struct{}

func noteOf(ctx context.Context) *note {
	n, _ := ctx.Value(noteKey{}).(*note)
	return n
}

// remark adds to the audit record of the request.
func remark(ctx context.Context, attrs ...slog.Attr) {
	if n := noteOf(ctx); n != nil {
		n.attrs = append(n.attrs, attrs...)
	}
}
