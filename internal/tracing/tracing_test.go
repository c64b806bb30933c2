package tracing

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

func sampled() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled})
}

func TestParentRoundTrip(t *testing.T) {
	want := sampled()
	got, ok := ParseParent(Parent(want))
	if !ok || !got.Equal(want.WithRemote(true)) {
		t.Errorf("%+v became %+v", want, got)
	}
	for _, text := range []string{"", "nonsense", Parent(want)[:40], Parent(want.WithTraceFlags(0))} {
		if got, ok := ParseParent(text); ok {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

func TestLinesNameTheTrace(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&out, nil))).With("node", "n1")
	log.InfoContext(trace.ContextWithSpanContext(context.Background(), sampled()), "with")
	log.Info("without")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "node=n1 trace_id="+sampled().TraceID().String()+" span_id="+sampled().SpanID().String()) {
		t.Errorf("with a trace: %s", lines[0])
	}
	if strings.Contains(lines[1], "trace_id") {
		t.Errorf("without a trace: %s", lines[1])
	}
}

// A span that nobody records costs nothing; one of a caller's trace goes on in
// the same trace although nothing is recorded here.
func TestTracingThatIsOff(t *testing.T) {
	none := OrNone(nil)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		_, span := Start(ctx, none, "work")
		End(span, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	within, span := Start(trace.ContextWithSpanContext(ctx, sampled()), none, "work")
	if span.IsRecording() || !trace.SpanContextFromContext(within).Equal(sampled()) {
		t.Errorf("the caller's trace became %+v", trace.SpanContextFromContext(within))
	}
}
