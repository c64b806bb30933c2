package api_test

import (
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
)

const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientParent = "traceparent: 00-" + clientTrace + "-00f067aa0ba902b7-01"
)

// recorded makes a fixture whose spans are kept.
func recorded(t *testing.T) (*fixture, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	return newFixture(t, func(c *api.Config) { c.Tracer = tracer }), spans
}

func TestSpansOfARequest(t *testing.T) {
	f, spans := recorded(t)
	f.put(signed(claim(), "alice"))
	read[v1.QueryResponse](t, f.get("/v1/query?subject=Semaglutide"), http.StatusOK)
	parents := map[string]string{}
	byID := map[string]string{"0000000000000000": ""}
	for _, s := range spans.Ended() {
		byID[s.SpanContext().SpanID().String()] = s.Name()
	}
	for _, s := range spans.Ended() {
		parents[s.Name()] = byID[s.Parent().SpanID().String()]
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.String(), "Semaglutide") {
				t.Errorf("%s of %s tells what was asked: %s", a.Key, s.Name(), a.Value.String())
			}
		}
	}
	for name, parent := range map[string]string{
		"POST /v1/assert": "", "verify": "POST /v1/assert", "admit": "POST /v1/assert",
		"GET /v1/query": "", "resolve": "GET /v1/query", "index page": "resolve",
	} {
		if got, ok := parents[name]; !ok || got != parent {
			t.Errorf("%q lies in %q, want %q; there are %v", name, got, parent, parents)
		}
	}
}

// A trace of the client goes on, failures are told by their code, and nobody
// makes up the name of a span.
func TestFailedRequestsInTraces(t *testing.T) {
	f, spans := recorded(t)
	f.store.readErr = api503
	problem := refused(t, f.do(http.MethodGet, "/v1/query?subject=Semaglutide", "", clientParent), http.StatusServiceUnavailable, v1.CodeNoLeader)
	if problem.TraceID != clientTrace {
		t.Errorf("the problem names the trace %q", problem.TraceID)
	}
	last := spans.Ended()[len(spans.Ended())-1]
	if last.Status().Code != codes.Error || last.Status().Description != v1.CodeNoLeader || last.SpanContext().TraceID().String() != clientTrace {
		t.Errorf("the span is %v of %v", last.Status(), last.SpanContext().TraceID())
	}
	f.do("BREW", "/v1/coffee", "", clientParent)
	if last := spans.Ended()[len(spans.Ended())-1]; last.Name() != "_OTHER unmatched" || last.Status().Code == codes.Error {
		t.Errorf("the span of what is not there: %q, %v", last.Name(), last.Status())
	}
	before := len(spans.Ended())
	f.get("/livez")
	f.get("/metrics")
	if after := len(spans.Ended()); after != before {
		t.Errorf("probes made %d spans", after-before)
	}
}

// With tracing off the trace of a client is named, none is made up.
func TestTraceOfTheClientIsNamedWithTracingOff(t *testing.T) {
	f := newFixture(t)
	for header, want := range map[string]string{clientParent: clientTrace, "traceparent: nonsense": "", "Accept: */*": ""} {
		if got := refused(t, f.do(http.MethodGet, "/v1/query?limit=x", "", header), http.StatusBadRequest, v1.CodeInvalidParameter).TraceID; got != want {
			t.Errorf("%s: the problem names the trace %q, want %q", header, got, want)
		}
	}
}
