package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/internal/otlp"
	"github.com/stemedb/stemedb/internal/version"
)

// flushTime bounds how long the end of the process waits for the collector of
// traces.
const flushTime = 2 * time.Second

// traces is the tracing of a process: nothing where no endpoint is set.
type traces struct {
	tracer trace.Tracer // nil without an endpoint
	export *otlp.Export
	log    *slog.Logger
}

// startTraces begins to export traces if an endpoint is set.
func (p *process) startTraces(ctx context.Context, registry prometheus.Registerer) (*traces, error) {
	s := p.settings
	if s.OTLPEndpoint == "" {
		return &traces{}, nil
	}
	export, err := otlp.Start(ctx, otlp.Config{
		Endpoint: s.OTLPEndpoint, Headers: s.OTLPHeaders, CAFile: s.OTLPCA, Ratio: s.TraceRatio,
		Service: s.OTLPServiceName, Version: version.Number(), Node: s.Node.NodeID,
		Registerer: registry, Logger: p.log,
	})
	if err != nil {
		return nil, err
	}
	p.log.Info("traces go to a collector", "endpoint", s.OTLPEndpoint, "ratio", s.TraceRatio)
	return &traces{tracer: export.Tracer(), export: export, log: p.log}, nil
}

// end sends what waits for the collector, for a short while.
func (t *traces) end() {
	if t.export == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := t.export.Shutdown(ctx); err != nil {
		t.log.Warn("not every trace was sent", "error", err)
	}
}
