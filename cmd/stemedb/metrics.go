package main

import (
	"fmt"
	"net/http"
	"time"

	armonmetrics "github.com/armon/go-metrics"
	armonprometheus "github.com/armon/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stemedb/stemedb/internal/certs"
	"github.com/stemedb/stemedb/internal/version"
)

// followCertificates logs what becomes of the certificates in use, and shows
// when they expire.
func (p *process) followCertificates(registry prometheus.Registerer) {
	for use, pair := range map[string]*certs.Pair{"http": p.settings.HTTPCertificate, "cluster": p.settings.NodeCertificate} {
		if pair == nil {
			continue
		}
		log := p.log.With("use", use)
		pair.LogTo(log)
		if expiry := pair.Expiry(); time.Now().After(expiry) {
			log.Error("the certificate has expired: others will refuse it", "not_after", expiry.UTC())
		}
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "stemedb_certificate_expiry_timestamp_seconds", Help: "When the certificate in use expires, in unix seconds. No certificate, no value.",
			ConstLabels: prometheus.Labels{"use": use},
		}, func() float64 { return float64(pair.Expiry().Unix()) }))
	}
}

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
