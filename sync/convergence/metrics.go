package convergence

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	cycles      *prometheus.CounterVec
	failures    *prometheus.CounterVec
	lagEntries  *prometheus.GaugeVec
	lagSeconds  *prometheus.GaugeVec
	converged   prometheus.Gauge
	convergence prometheus.Histogram
	divergence  prometheus.Counter
}

func newMetrics() *metrics {
	label := []string{"peer"}
	return &metrics{
		cycles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_sync_cycles_total", Help: "State reports received from each peer.",
		}, label),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stemedb_sync_failures_total", Help: "State reports that a live peer failed to send: one for each three report intervals of silence.",
		}, label),
		lagEntries: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stemedb_sync_lag_entries", Help: "Committed log entries that a live peer has not applied, by its last report. A dead peer has no lag.",
		}, label),
		lagSeconds: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stemedb_sync_lag_seconds", Help: "For how long the oldest commit that a live peer has not applied has been known. A peer that keeps up with constant writes stays near the report interval.",
		}, label),
		converged: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stemedb_sync_converged", Help: "1 if this node and every live peer have applied everything that is known to be committed, else 0. 0 is usual while writes are under way: alert on stemedb_sync_lag_seconds.",
		}),
		convergence: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stemedb_sync_convergence_seconds",
			Help:    "Time from first hearing of a commit index until every live node has reported it applied. Its resolution is the report interval, and commits between two reports count as one.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 14),
		}),
		divergence: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stemedb_sync_divergence_total", Help: "Times that a peer began to report another digest at the same log index; reports that keep disagreeing are not counted again. Anything but 0 means damaged or wrong data on a node.",
		}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.cycles, m.failures, m.lagEntries, m.lagSeconds, m.converged, m.convergence, m.divergence} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register the sync metrics: %w", err)
		}
	}
	return nil
}

// begin shows the counters of a peer from 0 on, so that their first increase is
// seen as one.
func (m *metrics) begin(id string) {
	m.cycles.WithLabelValues(id)
	m.failures.WithLabelValues(id)
}

// forgetLag removes the lag of a peer that is not alive.
func (m *metrics) forgetLag(id string) {
	m.lagEntries.DeleteLabelValues(id)
	m.lagSeconds.DeleteLabelValues(id)
}

// forgetCounters removes the counters of a peer that is gone for good.
func (m *metrics) forgetCounters(id string) {
	m.cycles.DeleteLabelValues(id)
	m.failures.DeleteLabelValues(id)
}
