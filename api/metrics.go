package api

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stemedb/stemedb/assertion"
)

// The values of the label limit.
const (
	refusedByRate    = "rate"
	refusedByQuota   = "quota"
	refusedByWork    = "work"
	refusedByBreaker = "breaker"
)

type metrics struct {
	requests *prometheus.CounterVec
	queries  *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	ingested prometheus.Counter
	verdicts *prometheus.CounterVec
	refusals *prometheus.CounterVec
}

func newMetrics(config Config) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_http_requests_total",
			Help: "HTTP requests answered by this node, by route pattern and status code. Requests that match no route have the route unmatched.",
		}, []string{"route", "code"}),
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_queries_total",
			Help: "Reads of claims that this node answered or failed to answer, by endpoint; a watch counts when it begins. Requests that were refused before that, for want of a key, by a limit or for an unknown parameter, are not counted.",
		}, []string{"endpoint"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stemedb_query_latency_seconds",
			Help:    "Time to answer a read of claims, waiting for its consistency included, by endpoint. Watches, which do not end, have none.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16),
		}, []string{"endpoint"}),
		ingested: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stemedb_assertions_ingested_total",
			Help: "Claims that were created or gained a signer through a request to this node. Each is counted once in the cluster, on the node that answered the client; claims that existed already are not counted.",
		}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_defense_claims_total",
			Help: "Claims stored through this node that its content defence flagged or quarantined.",
		}, []string{"action"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_limit_refusals_total",
			Help: "What this node refused by a limit: the rate of a key, a quota, a missing or bad proof of work, an open circuit breaker. Lines of a batch count one each.",
		}, []string{"limit"}),
	}
	for _, limit := range []string{refusedByRate, refusedByQuota, refusedByWork, refusedByBreaker} {
		m.refusals.WithLabelValues(limit)
	}
	m.verdicts.WithLabelValues("flag")
	m.verdicts.WithLabelValues("quarantine")
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stemedb_circuit_breakers_open",
		Help: "Circuit breakers that keep an agent, a key or an address out, as this node knows; 0 where there are none.",
	}, func() float64 {
		return float64(config.Limits.Breakers.Open(config.Now()))
	})
	for _, c := range []prometheus.Collector{m.requests, m.queries, m.latency, m.ingested, m.verdicts, m.refusals, open} {
		if err := config.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("api: register the metrics of HTTP: %w", err)
		}
	}
	return m, nil
}

// asked counts a read that began at a time and is answered now.
func (m *metrics) asked(endpoint string, began time.Time) {
	m.queries.WithLabelValues(endpoint).Inc()
	m.latency.WithLabelValues(endpoint).Observe(time.Since(began).Seconds())
}

// inspected counts what the content defence decided on a claim.
func (m *metrics) inspected(a *assertion.Admission) {
	switch {
	case a.Quarantine:
		m.verdicts.WithLabelValues("quarantine").Inc()
	case len(a.Findings) > 0:
		m.verdicts.WithLabelValues("flag").Inc()
	}
}
