package api

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stemedb/stemedb/assertion"
)

type metrics struct {
	requests *prometheus.CounterVec
	queries  *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	ingested prometheus.Counter
	verdicts *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_http_requests_total",
			Help: "HTTP requests answered by this node, by route pattern and status code. Requests that match no route have the route unmatched.",
		}, []string{"route", "code"}),
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_queries_total",
			Help: "Reads of claims answered by this node, errors included, by endpoint.",
		}, []string{"endpoint"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stemedb_query_latency_seconds",
			Help:    "Time to answer a read of claims, waiting for its consistency included, by endpoint.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16),
		}, []string{"endpoint"}),
		ingested: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stemedb_assertions_ingested_total",
			Help: "Claims that were created or gained a signer through a request to this node. Each is counted once in the cluster, on the node that answered the client; claims that existed already are not counted.",
		}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_defense_claims_total",
			Help: "Claims that the content defence of this node flagged or quarantined, before it is known whether they are new.",
		}, []string{"action"}),
	}
	m.verdicts.WithLabelValues("flag")
	m.verdicts.WithLabelValues("quarantine")
	for _, c := range []prometheus.Collector{m.requests, m.queries, m.latency, m.ingested, m.verdicts} {
		if err := registerer.Register(c); err != nil {
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
func (m *metrics) inspected(a assertion.Admission) {
	switch {
	case a.Quarantine:
		m.verdicts.WithLabelValues("quarantine").Inc()
	case len(a.Findings) > 0:
		m.verdicts.WithLabelValues("flag").Inc()
	}
}
