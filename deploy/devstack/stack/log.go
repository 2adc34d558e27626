package stack

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"go.uber.org/zap/zapcore"
)

// The servers log what matters to their operators. To a developer who uses them it
// is noise: so notices become debug, and only what needs
// attention stays visible. Everything is debug while the stack shuts down,
// because the servers then complain about each other's absence.

// natsLog is the logger of the MQTT broker.
type natsLog struct {
	out   *slog.Logger
	quiet atomic.Bool
	fatal atomic.Pointer[error]
}

func newNATSLog(out *slog.Logger) *natsLog { return &natsLog{out: out} }

func (l *natsLog) write(level slog.Level, format string, args []any) {
	if l.quiet.Load() {
		level = slog.LevelDebug
	}
	if l.out.Enabled(context.Background(), level) {
		l.out.Log(context.Background(), level, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

func (l *natsLog) Noticef(format string, args ...any) { l.write(slog.LevelDebug, format, args) }
func (l *natsLog) Debugf(format string, args ...any)  { l.write(slog.LevelDebug, format, args) }
func (l *natsLog) Tracef(format string, args ...any)  { l.write(slog.LevelDebug, format, args) }
func (l *natsLog) Warnf(format string, args ...any)   { l.write(slog.LevelInfo, format, args) }

// Errorf distinguishes faults of the broker from those of its
// clients. Refused clients are logged by mqttAuth, once.
func (l *natsLog) Errorf(format string, args ...any) {
	level, message := slog.LevelWarn, fmt.Sprintf(format, args...)
	if strings.Contains(message, " - mid:") {
		level = slog.LevelInfo
	}
	if strings.Contains(message, "authentication error") {
		level = slog.LevelDebug
	}
	l.write(level, format, args)
}

// Fatalf keeps the reason: the server does not return an error from Start.
func (l *natsLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.fatal.CompareAndSwap(nil, &err)
	l.write(slog.LevelError, format, args)
}

// temporalLog is the logger of the Temporal server.
type temporalLog struct {
	out   *slog.Logger
	tags  []tag.Tag // of every line; the server makes many loggers and writes few lines
	quiet *atomic.Bool
}

func newTemporalLog(out *slog.Logger) temporalLog {
	return temporalLog{out: out, quiet: &atomic.Bool{}}
}

func (l temporalLog) write(level slog.Level, message string, tags []tag.Tag) {
	if l.quiet.Load() {
		level = slog.LevelDebug
	}
	if l.out.Enabled(context.Background(), level) {
		l.out.LogAttrs(context.Background(), level, message, attributes(slices.Concat(l.tags, tags))...)
	}
}

func attributes(tags []tag.Tag) []slog.Attr {
	attrs := make([]slog.Attr, len(tags))
	for i, t := range tags {
		attrs[i] = slog.Any(t.Key(), t.Value())
	}
	return attrs
}

func (l temporalLog) Debug(message string, tags ...tag.Tag) {
	l.write(slog.LevelDebug-4, message, tags)
}
func (l temporalLog) Info(message string, tags ...tag.Tag)  { l.write(slog.LevelDebug, message, tags) }
func (l temporalLog) Warn(message string, tags ...tag.Tag)  { l.write(slog.LevelDebug, message, tags) }
func (l temporalLog) Error(message string, tags ...tag.Tag) { l.write(slog.LevelInfo, message, tags) }

func (l temporalLog) DPanic(message string, tags ...tag.Tag) {
	l.write(slog.LevelError, message, tags)
}

func (l temporalLog) Panic(message string, tags ...tag.Tag) {
	l.write(slog.LevelError, message, tags)
	panic("temporal: " + message)
}

// Fatal panics, as the server expects not to come back from it.
func (l temporalLog) Fatal(message string, tags ...tag.Tag) {
	l.write(slog.LevelError, message, tags)
	panic("temporal: " + message)
}

// With implements log.WithLogger.
func (l temporalLog) With(tags ...tag.Tag) log.Logger {
	l.tags = slices.Concat(l.tags, tags)
	return l
}

// zapCore is the logger of InfluxDB.
type zapCore struct {
	out   *slog.Logger
	quiet *atomic.Bool
}

func (c zapCore) level(l zapcore.Level) slog.Level {
	switch {
	case c.quiet.Load() || l <= zapcore.InfoLevel:
		return slog.LevelDebug
	case l == zapcore.WarnLevel:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func (c zapCore) Enabled(l zapcore.Level) bool {
	return c.out.Enabled(context.Background(), c.level(l))
}

func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{out: slog.New(c.out.Handler().WithAttrs(zapAttributes(fields))), quiet: c.quiet}
}

func (c zapCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.out.LogAttrs(context.Background(), c.level(e.Level), e.Message, zapAttributes(fields)...)
	return nil
}

func (c zapCore) Sync() error { return nil }

func zapAttributes(fields []zapcore.Field) []slog.Attr {
	encoder := zapcore.NewMapObjectEncoder()
	attrs := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		f.AddTo(encoder)
	}
	for _, f := range fields {
		if value, ok := encoder.Fields[f.Key]; ok {
			attrs = append(attrs, slog.Any(f.Key, value))
		}
	}
	return attrs
}

// sdk returns the log for a Temporal client of the stack itself.
func (l temporalLog) sdk() sdklog.Logger { return sdklog.NewStructuredLogger(l.out) }
