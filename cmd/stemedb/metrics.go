package main

import (
	"fmt"
	"net/http"

	armonmetrics "github.com/armon/go-metrics"
	armonprometheus "github.com/armon/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stemedb/stemedb/internal/version"
)

// newRegistry makes the process's registry with what does not depend on the
// node: the Go runtime, the process, the build, and the metrics of raft and
// memberlist.
func newRegistry() (*prometheus.Registry, http.Handler, error) {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "stemedb_build_info", Help: "1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": version.Number(), "commit": version.Commit(), "goversion": version.Go()},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// raft and memberlist report through hashicorp/go-metrics, whose compat layer
	// is armon/go-metrics unless the build tag hashicorpmetrics is set.
	sink, err := armonprometheus.NewPrometheusSinkFrom(armonprometheus.PrometheusOpts{Registerer: registry})
	if err != nil {
		return nil, nil, fmt.Errorf("collect the metrics of raft: %w", err)
	}
	config := armonmetrics.DefaultConfig("")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	if _, err := armonmetrics.NewGlobal(config, sink); err != nil {
		return nil, nil, fmt.Errorf("collect the metrics of raft: %w", err)
	}
	return registry, promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}), nil
}
