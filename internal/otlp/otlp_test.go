package otlp

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stemedb/stemedb/internal/otlptest"
)

func start(t *testing.T, change func(*Config)) (*Export, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	c := Config{Ratio: 1, Version: "1.2.3", Node: "n1", Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(log, nil))}
	change(&c)
	e, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e, log
}

// end is Shutdown with all the time that it needs.
func end(t *testing.T, e *Export) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	return e.Shutdown(ctx)
}

func TestSpansReachTheCollector(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	c := otlptest.New(t)
	e, log := start(t, func(config *Config) {
		config.Endpoint, config.Headers, config.Service = c.URL+"/", map[string]string{"X-Team": "claims"}, "stemedb-eu"
	})
	const spans = 1500
	for range spans {
		_, span := e.Tracer().Start(t.Context(), "work")
		span.End()
	}
	if err := end(t, e); err != nil {
		t.Fatal(err)
	}
	got := c.Spans("")
	if len(got) != spans || testutil.ToFloat64(e.exported) != spans || log.Len() > 0 {
		t.Fatalf("%d spans arrived, %v counted: %s", len(got), testutil.ToFloat64(e.exported), log)
	}
	for name, want := range map[string]string{"service.name": "stemedb-eu", "service.version": "1.2.3", "service.instance.id": "n1", "deployment.environment.name": "test"} {
		if got[0].Resource[name] != want {
			t.Errorf("%s is %q, want %q", name, got[0].Resource[name], want)
		}
	}
	if c.Headers().Get("X-Team") != "claims" {
		t.Errorf("headers %v", c.Headers())
	}
}

func TestRatioOfTraces(t *testing.T) {
	c := otlptest.New(t)
	e, _ := start(t, func(config *Config) { config.Endpoint, config.Ratio = c.URL, 0 })
	_, span := e.Tracer().Start(t.Context(), "work")
	span.End()
	if err := end(t, e); err != nil {
		t.Fatal(err)
	}
	if span.SpanContext().IsSampled() || c.Requests() != 0 {
		t.Error("a trace was recorded with a ratio of 0")
	}
}

// A collector that refuses, and a queue that is full: every span is counted as
// exactly one of the three, nothing waits, and the log has one line.
func TestLostSpansAreCounted(t *testing.T) {
	c := otlptest.New(t)
	c.Refuse(http.StatusUnauthorized)
	e, log := start(t, func(config *Config) {
		config.Endpoint, config.Headers = c.URL, map[string]string{"Authorization": "Bearer s3cret"}
	})
	const spans = 3 * queueSpans
	for range spans {
		_, span := e.Tracer().Start(t.Context(), "work")
		span.End()
	}
	if err := end(t, e); err != nil {
		t.Fatal(err)
	}
	failed, dropped := testutil.ToFloat64(e.failed), testutil.ToFloat64(e.dropped)
	if failed < queueSpans || failed+dropped != spans || testutil.ToFloat64(e.exported) != 0 || e.waiting.Load() != 0 {
		t.Errorf("%v failed and %v dropped of %d, %d wait", failed, dropped, spans, e.waiting.Load())
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || strings.Contains(log.String(), "s3cret") {
		t.Errorf("%d lines of log: %s", lines, log)
	}
}

// A collector that is not there delays the end no longer than its context.
func TestShutdownIsBounded(t *testing.T) {
	e, _ := start(t, func(config *Config) { config.Endpoint = "http://127.0.0.1:1" })
	_, span := e.Tracer().Start(t.Context(), "work")
	span.End()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := e.Shutdown(ctx)
	if err == nil || !strings.Contains(err.Error(), "1 spans did not reach") {
		t.Errorf("end without a collector: %v", err)
	}
}

func TestBadAuthorities(t *testing.T) {
	_, err := Start(t.Context(), Config{Endpoint: "https://localhost", CAFile: "otlp_test.go", Registerer: prometheus.NewRegistry(), Logger: slog.Default()})
	if err == nil || !strings.Contains(err.Error(), "holds no PEM certificate") {
		t.Errorf("a Go file as authority: %v", err)
	}
}
