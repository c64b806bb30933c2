package api

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	queries  *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	ingested prometheus.Counter
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
	}
	for _, c := range []prometheus.Collector{m.requests, m.queries, m.latency, m.ingested} {
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
