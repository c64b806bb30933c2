package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/tracing"
)

// startTrace begins the span of a request, in the trace that the client has
// begun if it sent one (W3C trace context). Without a Tracer the request keeps the
// client's trace, so that logs and problems name it. Probes, metrics and
// documentation begin no trace.
//
// otelecho is not used: observe has turned errors into answers before a middleware
// around it sees them, and a request without a trace must cost nothing.
func (s *Server) startTrace(c echo.Context, id string) trace.Span {
	request := c.Request()
	_, brought := request.Header["Traceparent"]
	route := s.routeOf(c)
	if !brought && (s.config.Tracer == nil || !strings.HasPrefix(route, "/v1/")) {
		return tracing.None()
	}
	ctx := request.Context()
	if brought {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(request.Header))
	}
	method := methodLabel(request.Method)
	ctx, span := s.tracer.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRoute(route),
		attribute.String("stemedb.request_id", id), attribute.String("stemedb.node", s.node()),
	))
	c.SetRequest(request.WithContext(ctx))
	return span
}

// endTrace ends the span of a request with its answer, and at the time of that.
func endTrace(span trace.Span, status int, code string, at time.Time) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if code != "" {
		span.SetAttributes(attribute.String("stemedb.problem.code", code))
	}
	if status >= http.StatusInternalServerError {
		span.SetAttributes(semconv.ErrorTypeKey.String(code))
		span.SetStatus(codes.Error, code)
	}
	span.End(trace.WithTimestamp(at))
}

// methodLabel is the method of a request, of which clients make up any.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodPut, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

// traceID is the trace of a request, "" if it has none.
func traceID(c echo.Context) string {
	if span := trace.SpanContextFromContext(c.Request().Context()); span.IsValid() {
		return span.TraceID().String()
	}
	return ""
}

// span begins a span within that of a request.
func (s *Server) span(c echo.Context, name string) (context.Context, trace.Span) {
	return tracing.Start(c.Request().Context(), s.tracer, name)
}

// traced runs a part of a request in a span of its own. What clients may see of
// the error is all that the span tells.
func (s *Server) traced(c echo.Context, name string, part func() error) error {
	_, span := s.span(c, name)
	err := part()
	endPart(span, err)
	return err
}

// endPart ends the span of a part of a request. A failure is told by its code:
// its words may quote the claim.
func endPart(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, faultOf(err).code)
	}
	span.End()
}

// resolve answers a read from its view, in a span of its own.
func (s *Server) resolve(c echo.Context, endpoint string, r reader, run readPlan, q url.Values) (body any, index uint64, claims []assertion.Hash, err error) {
	ctx, span := s.span(c, "resolve")
	if span.IsRecording() {
		span.SetAttributes(attribute.String("stemedb.endpoint", endpoint))
		r.view = tracedView{r.view, ctx, s.tracer}
	}
	body, index, claims, err = s.runPlan(r, run, q, s.audited(c))
	endPart(span, err)
	return body, index, claims, err
}

// tracedView is a View whose larger reads of the index are spans; what is left
// of the resolution is the lens.
type tracedView struct {
	View
	ctx    context.Context
	tracer trace.Tracer
}

// Page implements View.
func (v tracedView) Page(f assertion.Filter, cursor string, limit int) ([]*assertion.Claim, string, error) {
	_, span := tracing.Start(v.ctx, v.tracer, "index page")
	claims, next, err := v.View.Page(f, cursor, limit)
	span.SetAttributes(attribute.Int("stemedb.claims", len(claims)))
	endPart(span, err)
	return claims, next, err
}

// Tally implements View.
func (v tracedView) Tally(subject, predicate string, at uint64) (*assertion.Tally, error) {
	_, span := tracing.Start(v.ctx, v.tracer, "index tally")
	tally, err := v.View.Tally(subject, predicate, at)
	endPart(span, err)
	return tally, err
}

// Claims implements View.
func (v tracedView) Claims(f assertion.Filter, most int) ([]*assertion.Claim, int, bool, error) {
	_, span := tracing.Start(v.ctx, v.tracer, "index scan")
	claims, scanned, truncated, err := v.View.Claims(f, most)
	span.SetAttributes(attribute.Int("stemedb.claims", len(claims)), attribute.Int("stemedb.scanned", scanned))
	endPart(span, err)
	return claims, scanned, truncated, err
}
