package service

import (
	"context"
	"log/slog"
)

// leastLevel passes on only what is at least as grave as a level.
type leastLevel struct {
	slog.Handler
	level slog.Level
}

func (h leastLevel) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

func (h leastLevel) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leastLevel{h.Handler.WithAttrs(attrs), h.level}
}

func (h leastLevel) WithGroup(name string) slog.Handler {
	return leastLevel{h.Handler.WithGroup(name), h.level}
}
