package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/internal/auditlog"
	"github.com/stemedb/stemedb/internal/tracing"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

// The time-outs and bounds of HTTPServer. A client that is slower than these
// holds a connection and its memory for nothing.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second // 8 MiB at 2.2 Mbit/s
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// DefaultMaxConnections is the default of Config.MaxConnections: with TLS, one
// open connection holds about 50 KiB.
const DefaultMaxConnections = 4096

// scanSlots bounds the scans that run at once, and so their memory: one scan
// holds up to v1.MaxScannedClaims decoded claims.
const scanSlots = 4

// Server answers HTTP requests from a Store. It is an http.Handler. Before
// Attach it answers probes, documentation and metrics; everything else gets 503
// recovering.
type Server struct {
	config   Config
	echo     *echo.Echo
	kinds    map[string]kind
	routes   []route
	patterns map[string]struct{} // of routes: the values of the label route
	metrics  *metrics
	tracer   trace.Tracer
	attached atomic.Pointer[attachment]
	scans    chan struct{}
	exports  chan struct{} // holds one for each that runs
	watches  chan struct{}
	// lingering holds one for each refused request of which the body is read on.
	lingering chan struct{}
	scores    atomic.Pointer[computed[trust.Scores]]
	model     atomic.Pointer[computed[truth.Model]]
	audit     atomic.Pointer[auditlog.Log]
	gate      gate

	connections *connections

	draining context.Context // ends when an http.Server of HTTPServer shuts down, and with it the watches
	drain    context.CancelFunc
	buffers  sync.Pool // of *bytes.Buffer
	openapi  []byte
	docs     []byte
}

// attachment is a Store with the id of its node.
type attachment struct {
	node  string
	store Store
}

// New makes a Server. The error says which part of the Config is wrong, or is
// that of registering the metrics.
func New(config Config) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, echo: echo.New(), kinds: byCode(), routes: routes(), patterns: map[string]struct{}{}, tracer: tracing.OrNone(config.Tracer), scans: make(chan struct{}, scanSlots), watches: make(chan struct{}, maxWatches), lingering: make(chan struct{}, lingerSlots), exports: make(chan struct{}, exportSlots)}
	s.gate.table = auth.NewTable()
	s.draining, s.drain = context.WithCancel(context.Background())
	s.attached.Store(&attachment{node: config.NodeID})
	if s.metrics, err = newMetrics(config); err != nil {
		return nil, err
	}
	s.connections = newConnections(config.MaxConnections)
	for _, c := range s.connections.collectors() {
		if err := config.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("api: register the metrics of connections: %w", err)
		}
	}
	if s.openapi, err = openAPI(s.routes, config.Version); err != nil {
		return nil, err
	}
	if s.docs, err = renderDocs(s.openapi); err != nil {
		return nil, err
	}
	s.echo.Use(s.observe)
	if len(config.AllowedOrigins) > 0 {
		s.echo.Use(s.cors)
	}
	for _, r := range s.routes {
		s.patterns[r.path] = struct{}{}
		s.echo.Add(r.method, r.path, s.serve(r))
	}
	return s, nil
}

// Attach gives the Server its Store once that has recovered.
func (s *Server) Attach(node string, store Store) {
	s.attached.Store(&attachment{node: node, store: store})
}

// ServeHTTP answers one request. HEAD is answered as GET; net/http drops the
// body.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		get := *r
		get.Method = http.MethodGet
		r = &get
	}
	s.echo.ServeHTTP(w, r)
}

// HTTPServer returns an http.Server for the address that bounds how long a
// client may take; the caller starts it, and shuts it down. It speaks HTTP/1.1
// only: the bounds are on connections, of which HTTP/2 would make a single one
// carry hundreds of requests.
func (s *Server) HTTPServer(addr string) *http.Server {
	server := &http.Server{
		Addr: addr, Handler: s,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		Protocols: new(http.Protocols), ConnState: s.connections.note,
		ErrorLog: slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),
	}
	server.Protocols.SetHTTP1(true)
	server.RegisterOnShutdown(s.drain)
	return server
}

// node is the id of this node, "" if it is not known yet.
func (s *Server) node() string { return s.attached.Load().node }

// store returns the Store, or the fault that it is not there yet.
func (s *Server) store() (Store, error) {
	if a := s.attached.Load(); a.store != nil {
		return a.store, nil
	}
	return nil, recovering()
}

// bounded is the context of a request, within the bound on all of them.
func (s *Server) bounded(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), s.config.RequestTimeout)
}

// now is the clock in unix seconds.
func (s *Server) now() uint64 { return uint64(max(s.config.Now().Unix(), 0)) }

// Route is a registered route, its path in the form of OpenAPI.
type Route struct{ Method, Path string }

// Routes lists the registered routes.
func (s *Server) Routes() []Route {
	registered := s.echo.Routes()
	out := make([]Route, len(registered))
	for i, r := range registered {
		out[i] = Route{Method: r.Method, Path: openAPIPath(r.Path)}
	}
	return out
}
