package api

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/auth"
)

// Config is what a Server is made of.
type Config struct {
	// NodeID is sent with every answer. It may be empty if the id is known only
	// when the Store is; Attach sets it then.
	NodeID string
	// Version is the software's version, shown in the OpenAPI document.
	Version string
	// AcceptV1 admits claims with signatures of version 1, which do not cover
	// the object.
	AcceptV1 bool
	// Now is the clock that timestamps are checked against and confidences
	// decay to. Default time.Now.
	Now func() time.Time
	// Auth says who needs an API key.
	Auth AuthConfig
	// LastUsed remembers when each key was used. One of the Server's own if nil.
	LastUsed *auth.LastUsed
	// Settings are the effective settings of the process, without secrets.
	Settings []v1.Setting
	// Inspector judges claims before they are proposed; nil lets all pass.
	Inspector Inspector
	// Limits hold agents, keys and addresses to what they may use.
	Limits Limits
	// AllowedOrigins are the origins (scheme://host[:port]) whose pages may use
	// the API from a browser; "*" is every origin. None by default.
	AllowedOrigins []string
	// TrustedProxies are the addresses whose X-Forwarded-For is believed. None
	// by default.
	TrustedProxies []netip.Prefix
	// MaxConnections bounds the open connections of listeners that went through
	// Limit. Default 4096.
	MaxConnections int
	// LogLevel is that of Logger, which administrators may change. One that nothing
	// follows if nil.
	LogLevel *slog.LevelVar
	// Logger receives one line per request, and the faults behind answers of
	// status 500. Required.
	Logger *slog.Logger
	// Tracer makes the spans of requests; none are made if it is nil.
	Tracer trace.Tracer
	// Registerer receives the metrics of HTTP and queries. Required.
	Registerer prometheus.Registerer
	// Metrics answers GET /metrics. Required.
	Metrics http.Handler
	// RequestTimeout bounds the time that a request may wait for the Store.
	// Default 15 s. It must be shorter than WriteTimeout of the http.Server.
	RequestTimeout time.Duration
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Logger == nil:
		return c, errors.New("api: Config.Logger is missing")
	case c.Registerer == nil:
		return c, errors.New("api: Config.Registerer is missing")
	case c.Metrics == nil:
		return c, errors.New("api: Config.Metrics is missing")
	case c.MaxConnections < 0:
		return c, errors.New("api: Config.MaxConnections must not be negative")
	case c.RequestTimeout < 0 || c.RequestTimeout >= writeTimeout:
		return c, errors.New("api: Config.RequestTimeout must be positive and below the server's write time-out of " + writeTimeout.String())
	}
	if c.LogLevel == nil {
		c.LogLevel = new(slog.LevelVar)
	}
	if c.LastUsed == nil {
		c.LastUsed = auth.NewLastUsed()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 15 * time.Second
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultMaxConnections
	}
	return c, nil
}
