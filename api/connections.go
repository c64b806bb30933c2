package api

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// connections bounds the HTTP connections that are open at once. One more than
// that costs the one its place that has been waiting for longest, for its first
// request or its next one; only if every connection has a request under way is
// the new one closed. So neither idle clients nor those that never finish their
// headers can keep others out.
type connections struct {
	most    int
	evicted prometheus.Counter
	refused prometheus.Counter

	mu      sync.Mutex
	open    map[net.Conn]*list.Element // nil while a request is under way
	waiting list.List                  // of net.Conn, the longest waiting first
}

// limited is a listener whose connections are bounded.
type limited struct {
	net.Listener
	*connections
}

// Limit bounds the connections of a listener for a server of HTTPServer by
// Config.MaxConnections.
func (s *Server) Limit(l net.Listener) net.Listener { return limited{l, s.connections} }

// Accept implements net.Listener.
func (l limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.admit(conn) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// admit gives a connection a place.
func (c *connections) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.most {
		oldest := c.waiting.Front()
		if oldest == nil {
			c.refused.Inc()
			return false
		}
		victim := c.waiting.Remove(oldest).(net.Conn) //nolint:forcetypeassert // the list holds nothing else
		delete(c.open, victim)
		_ = victim.Close()
		c.evicted.Inc()
	}
	c.open[conn] = c.waiting.PushBack(conn)
	return true
}

// note is the http.Server's ConnState. A connection is new until its first
// request's headers are there, and idle between requests.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	place, open := c.open[conn]
	if !open { // evicted, or not of Limit
		return
	}
	if place != nil {
		c.waiting.Remove(place)
		c.open[conn] = nil
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.open[conn] = c.waiting.PushBack(conn)
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	case http.StateActive:
	}
}

// count is the number of open connections.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

func newConnections(most int) *connections {
	return &connections{
		most: most, open: map[net.Conn]*list.Element{},
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stemedb_http_connections_evicted_total",
			Help: "Connections without a request under way that were closed to make room for a new one.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stemedb_http_connections_refused_total",
			Help: "Connections that were closed at once: as many as are allowed had a request under way.",
		}),
	}
}

// collectors are the metrics of connections.
func (c *connections) collectors() []prometheus.Collector {
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stemedb_http_connections", Help: "Open HTTP connections.",
	}, func() float64 { return float64(c.count()) })
	return []prometheus.Collector{open, c.evicted, c.refused}
}
