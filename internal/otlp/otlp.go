// Package otlp brings the spans of this process to an OpenTelemetry collector
// (OTLP over HTTP). It is the only package that knows the SDK; the rooms know
// the interface.
//
// A collector that is slow or gone costs spans, never requests: spans wait in a
// bounded queue, one that finds it full is dropped and counted, and failures
// are logged at a bounded rate.
package otlp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/stemedb/stemedb/internal/tracing"
)

const (
	// tracesPath is where a collector takes traces, under its base URL.
	tracesPath = "/v1/traces"
	// queueSpans is how many spans may wait for the collector, about 1 KiB each.
	queueSpans = 8192
	// batchSpans is how many go in one request at most.
	batchSpans = 512
	// exportTime bounds one request with its repeats.
	exportTime = 10 * time.Second
	// logEvery is the least time between two lines about a collector that fails.
	logEvery = time.Minute
	// maxLogged bounds what a line tells of a collector's answer.
	maxLogged = 300
)

// Config is where spans go. What it leaves out the standard variables
// (OTEL_EXPORTER_OTLP_…, OTEL_BSP_SCHEDULE_DELAY, OTEL_RESOURCE_ATTRIBUTES) say.
type Config struct {
	// Endpoint is the base URL of the collector, http or https, as
	// http://localhost:4318. Required.
	Endpoint string
	// Headers go with every request; they are secret.
	Headers map[string]string
	// CAFile holds the authorities (PEM) of an https endpoint; "" is those of the
	// system.
	CAFile string
	// Ratio of the traces that begin here is recorded, 0 to 1. A trace that a
	// client has begun is recorded if the client says so.
	Ratio float64
	// Service and Version name this software, Node this node.
	Service, Version, Node string
	// Registerer receives the metric of spans. Required.
	Registerer prometheus.Registerer
	// Logger hears of a collector that fails. Required.
	Logger *slog.Logger
}

// Check says what is wrong with an endpoint; nil if nothing is.
func Check(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it is no http or https URL: give the base URL of the collector, as http://localhost:4318")
	case u.User != nil:
		return errors.New("it holds a user name or a password: send a header instead (otlp-headers)")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("it has a query or a fragment: give the base URL of the collector")
	}
	return nil
}

// ParseHeaders reads name=value pairs, separated by commas, with percent
// encoding, as in OTEL_EXPORTER_OTLP_HEADERS. Its errors say no value.
func ParseHeaders(text string) (map[string]string, error) {
	headers := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		name = strings.TrimSpace(name)
		if !found || name == "" || err != nil || strings.ContainsAny(name, " \t:") || strings.ContainsAny(value, "\r\n") {
			return nil, errors.New("headers are name=value pairs, separated by commas; a comma or % in a value is written in percent encoding")
		}
		headers[name] = value
	}
	return headers, nil
}

// Export is the way of spans to the collector.
type Export struct {
	log      *slog.Logger
	provider *sdktrace.TracerProvider
	inner    sdktrace.SpanExporter
	next     sdktrace.SpanProcessor
	waiting  atomic.Int64 // spans handed to next that were not exported yet
	sometime rate.Sometimes
	unsaid   atomic.Int64 // spans lost since the last line

	exported, failed, dropped prometheus.Counter
}

// Start prepares the export; it connects with the first spans. Errors: an
// endpoint or a file of authorities that cannot be used.
func Start(ctx context.Context, c Config) (*Export, error) {
	e := &Export{log: c.Logger, sometime: rate.Sometimes{Interval: logEvery}}
	options, err := c.client()
	if err != nil {
		return nil, err
	}
	if e.inner, err = otlptracehttp.New(ctx, options...); err != nil {
		return nil, fmt.Errorf("prepare the export of traces: %w", err)
	}
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stemedb_trace_spans_total",
		Help: "Spans of traces by what became of them: exported, failed (the collector did not take them), dropped (the queue was full).",
	}, []string{"result"})
	if err := c.Registerer.Register(spans); err != nil {
		return nil, fmt.Errorf("register the metric of traces: %w", err)
	}
	e.exported, e.failed, e.dropped = spans.WithLabelValues("exported"), spans.WithLabelValues("failed"), spans.WithLabelValues("dropped")
	from, err := c.resource(ctx)
	if err != nil {
		c.Logger.Warn("a part of what names this node in traces is missing", "error", err)
	}
	// The processor's own queue is never full: OnEnd drops before.
	e.next = sdktrace.NewBatchSpanProcessor((*exporter)(e), sdktrace.WithMaxQueueSize(queueSpans+batchSpans), sdktrace.WithMaxExportBatchSize(batchSpans), sdktrace.WithExportTimeout(exportTime))
	e.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Ratio))),
		sdktrace.WithResource(from),
		sdktrace.WithSpanProcessor((*queue)(e)),
	)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { e.lost(err, 0) }))
	return e, nil
}

// client is how the collector is reached.
func (c *Config) client() ([]otlptracehttp.Option, error) {
	target := strings.TrimRight(c.Endpoint, "/")
	if !strings.HasSuffix(target, tracesPath) {
		target += tracesPath
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(target)}
	if len(c.Headers) > 0 {
		options = append(options, otlptracehttp.WithHeaders(c.Headers))
	}
	if c.CAFile != "" {
		raw, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("otlp-ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("otlp-ca: %s holds no PEM certificate", c.CAFile)
		}
		options = append(options, otlptracehttp.WithTLSClientConfig(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}))
	}
	return options, nil
}

// resource is what the spans say of this process. Ours stands before what the
// standard variables say, but for the name of the service if it is not set.
func (c *Config) resource(ctx context.Context) (*resource.Resource, error) {
	own := []resource.Option{resource.WithAttributes(semconv.ServiceName("stemedb")), resource.WithTelemetrySDK(), resource.WithFromEnv(),
		resource.WithAttributes(semconv.ServiceVersion(c.Version))}
	if c.Node != "" {
		own = append(own, resource.WithAttributes(semconv.ServiceInstanceID(c.Node)))
	}
	if c.Service != "" {
		own = append(own, resource.WithAttributes(semconv.ServiceName(c.Service)))
	}
	return resource.New(ctx, own...)
}

// Tracer makes the spans of this process.
func (e *Export) Tracer() trace.Tracer { return e.provider.Tracer(tracing.Scope) }

// Shutdown sends what waits, until ctx ends at the latest. The error says how
// many spans were lost with that.
func (e *Export) Shutdown(ctx context.Context) error {
	err := e.provider.Shutdown(ctx)
	if left := e.waiting.Load(); left > 0 {
		return fmt.Errorf("%d spans did not reach the collector before the end: %w", left, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

// lost counts spans that are gone, and says so at a bounded rate.
func (e *Export) lost(cause error, spans int) {
	e.unsaid.Add(int64(spans))
	e.sometime.Do(func() {
		text := cause.Error()
		if len(text) > maxLogged {
			text = strings.ToValidUTF8(text[:maxLogged], "") + "…"
		}
		e.log.Warn("traces do not reach the collector; requests go on without", "spans_lost", e.unsaid.Swap(0), "error", text)
	})
}

var errQueueFull = errors.New("the queue of spans is full: the collector is slow or gone")

// queue is the Export as the provider sees it: it bounds what waits.
type queue Export

// OnStart implements sdktrace.SpanProcessor.
func (q *queue) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) { q.next.OnStart(ctx, s) }

// OnEnd implements sdktrace.SpanProcessor. It never waits.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if q.waiting.Add(1) > queueSpans {
		q.waiting.Add(-1)
		q.dropped.Inc()
		(*Export)(q).lost(errQueueFull, 1)
		return
	}
	q.next.OnEnd(s)
}

// Shutdown implements sdktrace.SpanProcessor.
func (q *queue) Shutdown(ctx context.Context) error { return q.next.Shutdown(ctx) }

// ForceFlush implements sdktrace.SpanProcessor.
func (q *queue) ForceFlush(ctx context.Context) error { return q.next.ForceFlush(ctx) }

// exporter is the Export as the batch processor sees it: it counts.
type exporter Export

// ExportSpans implements sdktrace.SpanExporter.
func (x *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	defer x.waiting.Add(-int64(len(spans)))
	if err := x.inner.ExportSpans(ctx, spans); err != nil {
		x.failed.Add(float64(len(spans)))
		(*Export)(x).lost(err, len(spans))
		return nil // it has been told
	}
	x.exported.Add(float64(len(spans)))
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (x *exporter) Shutdown(ctx context.Context) error { return x.inner.Shutdown(ctx) }
