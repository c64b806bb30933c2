package node

import (
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/internal/tracing"
)

func recorder() (*tracetest.SpanRecorder, trace.Tracer) {
	spans := tracetest.NewSpanRecorder()
	return spans, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
}

// Requests that share a group each have their own steps; a request that is part
// of several traces travels once for each, one without a trace once.
func TestAGroupInSeveralTraces(t *testing.T) {
	spans, tracer := recorder()
	n := &Node{id: "n1", tracer: tracer}
	var roots []trace.SpanContext
	for range 3 {
		_, root := tracer.Start(t.Context(), "root")
		roots = append(roots, root.SpanContext())
	}
	group := []*writeRequest{
		{caller: Caller{RequestID: "two"}, parents: roots[:2], queued: time.Now()},
		{caller: Caller{RequestID: "none"}},
		{caller: Caller{RequestID: "one"}, parents: roots[2:], queued: time.Now()},
	}
	p := &passage{group: group, parents: n.endQueueing(group)}
	n.forwarding(p, "n2")
	callers := n.forwarding(p, "n3") // a second attempt goes on in the same spans
	p.end(errors.New("gone"))

	want := []struct {
		request string
		root    *trace.SpanContext
	}{{"two", &roots[0]}, {"two", &roots[1]}, {"none", nil}, {"one", &roots[2]}}
	if len(callers) != len(want) {
		t.Fatalf("callers %+v", callers)
	}
	for i, c := range callers {
		parent, ok := tracing.ParseParent(c.TraceParent)
		if c.RequestID != want[i].request || ok != (want[i].root != nil) || ok && parent.TraceID() != want[i].root.TraceID() {
			t.Errorf("caller %d is %+v", i, c)
		}
	}
	count := map[string]int{}
	for _, s := range spans.Ended() {
		count[s.Name()]++
		if s.Name() == "forward" {
			linked := len(s.Links()) == 1
			if first := s.SpanContext().TraceID() == roots[0].TraceID(); linked == first || s.Status().Code != codes.Error {
				t.Errorf("the forward of %v has %d links and ended as %v", s.SpanContext().TraceID(), len(s.Links()), s.Status())
			}
		}
	}
	if count["batch"] != 3 || count["forward"] != 3 {
		t.Errorf("spans %v", count)
	}
}

// The times of a proposal's parts are those of the log and the FSM: they follow
// each other within the proposal. What nobody traces makes no span.
func TestSpansOfAWrite(t *testing.T) {
	spans, tracer := recorder()
	c := startCluster(t, 1, func(_ int, cfg *Config) { cfg.Tracer = tracer })
	n := c.leader()
	if _, err := n.Write(t.Context(), Caller{}, claim(t, 0)); err != nil {
		t.Fatal(err)
	}
	if len(spans.Ended()) != 0 {
		t.Errorf("%d spans without a trace", len(spans.Ended()))
	}
	ctx, root := tracer.Start(t.Context(), "root")
	if _, err := n.Write(ctx, Caller{}, claim(t, 1)); err != nil {
		t.Fatal(err)
	}
	root.End()
	got := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range spans.Ended() {
		got[s.Name()] = s
	}
	for name, parent := range map[string]string{"write": "root", "batch": "write", "proposal": "write", "commit": "proposal", "apply": "proposal"} {
		s, within := got[name], got[parent]
		if s == nil || s.Parent().SpanID() != within.SpanContext().SpanID() || s.StartTime().Before(within.StartTime()) || s.EndTime().After(within.EndTime()) {
			t.Fatalf("%s does not lie in %s; there are %d spans", name, parent, len(got))
		}
	}
	if !got["commit"].EndTime().Equal(got["apply"].StartTime()) || !got["apply"].EndTime().After(got["apply"].StartTime()) {
		t.Error("apply does not follow the commit")
	}
}
