// Package tracing holds the little that rooms share about traces. It knows the
// interface of OpenTelemetry only, not how spans leave the process (see
// internal/otlp).
package tracing

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Scope names StemeDB as what made a span.
const Scope = "github.com/stemedb/stemedb"

// parentHeader is the field of a W3C trace context that names the parent.
const parentHeader = "traceparent"

// OrNone returns t, or a tracer that records nothing and passes on the trace of
// a caller where t is nil.
func OrNone(t trace.Tracer) trace.Tracer {
	if t == nil {
		return noop.NewTracerProvider().Tracer(Scope)
	}
	return t
}

// None is a span that records nothing.
func None() trace.Span { return trace.SpanFromContext(context.Background()) }

// Sampled is the span of ctx if its trace is recorded by anyone.
func Sampled(ctx context.Context) (parent trace.SpanContext, ok bool) {
	parent = trace.SpanContextFromContext(ctx)
	return parent, parent.IsSampled()
}

// Start begins a span beneath that of ctx. Without a recorded trace it does
// nothing, and allocates nothing.
func Start(ctx context.Context, t trace.Tracer, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	if _, ok := Sampled(ctx); !ok {
		return ctx, None()
	}
	return t.Start(ctx, name, options...)
}

// End ends a span. An error marks it as failed, by the words of the error: they
// must hold nothing secret.
func End(span trace.Span, err error, options ...trace.SpanEndOption) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End(options...)
}

// Parent is the W3C traceparent of a span, by which another node goes on with
// its trace. The trace state is not part of it: a client may send far more of
// that than a message between nodes should carry.
func Parent(span trace.SpanContext) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), span), carrier)
	return carrier[parentHeader]
}

// ParseParent reads a traceparent that Parent has made; ok is false if it is none
// or its trace is not recorded.
func ParseParent(text string) (parent trace.SpanContext, ok bool) {
	if text == "" {
		return trace.SpanContext{}, false
	}
	return Sampled(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{parentHeader: text}))
}

// LogHandler adds trace_id and span_id to the lines that are logged with the
// context of a trace.
func LogHandler(inner slog.Handler) slog.Handler { return logHandler{inner} }

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
