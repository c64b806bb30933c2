package settings

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/defense"
	"github.com/stemedb/stemedb/internal/certs"
	"github.com/stemedb/stemedb/internal/otlp"
	"github.com/stemedb/stemedb/internal/tracing"
	"github.com/stemedb/stemedb/node"
	"github.com/stemedb/stemedb/transport"
)

// maxWait bounds the time-outs of writes and reads: the HTTP server gives up
// on a connection after a minute.
const maxWait = 45 * time.Second

// maxShutdownDelay is more than any load balancer needs to notice a stop.
const maxShutdownDelay = time.Minute

// Server is the typed form of all settings.
type Server struct {
	// Node is complete but for what the process itself adds: version, logger,
	// metrics and the HTTP address that it really listens on.
	Node node.Config

	HTTPAddr string
	// HTTPCertificate is what HTTP is served with, nil for plain HTTP.
	HTTPCertificate *certs.Pair
	// NodeCertificate is that of Node.TLS, nil without.
	NodeCertificate *certs.Pair
	AllowedOrigins  []string
	TrustedProxies  []netip.Prefix
	MaxConnections  int
	AllowInsecure   bool
	AcceptV1        bool
	AuthEnabled     bool
	AuthOpenDocs    bool
	AuthOpenMetrics bool
	RootAPIKey      string
	RootAPIKeyFile  string
	AuditEnabled    bool
	// Defense is complete.
	Defense             defense.Config
	DefensePatternsFile string
	AuditMaxEntries     int
	LogLevel            *slog.LevelVar
	LogFormat           string // "json" or "text"
	ShutdownTimeout     time.Duration
	ShutdownDelay       time.Duration
	// OTLPEndpoint is where traces go; "" makes none.
	OTLPEndpoint    string
	OTLPHeaders     map[string]string
	OTLPCA          string
	OTLPServiceName string
	TraceRatio      float64
	TLSCert         string
	TLSKey          string
	TLSCA           string
	GossipKey       string
	GossipKeyFile   string
	HTTPTLSCert     string
	HTTPTLSKey      string

	// BackupURL is where scheduled backups go, "" if none are taken; BackupKeys are
	// what backups are encrypted for and opened with.
	BackupURL  string
	BackupKeys backup.Keys

	// Meter, Admission and Breakers switch the limits on.
	Meter, Admission, Breakers bool

	otlpHeaders, otlpHeadersFile string
	backupRecipients             []string
	backupIdentityFile           string

	bootstrapByJoin            bool
	meter, admission, breakers *bool
}

// Build makes the typed form and checks it. The error names every setting that
// is wrong, with its origin.
func Build(effective []Effective) (*Server, error) {
	s := &Server{Node: node.DefaultConfig(), Defense: defense.DefaultConfig(), LogLevel: new(slog.LevelVar)}
	var errs []error
	for _, e := range effective {
		if err := e.set(s, e.Value); err != nil {
			errs = append(errs, fmt.Errorf("%s is %q (from %s), which is not a valid %s: %w", e.Name, e.Display(), e.From, e.Kind, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	return s, nil
}

// finish derives what depends on several settings and checks the whole.
func (s *Server) finish() error {
	if s.bootstrapByJoin {
		s.Node.BootstrapExpect = 0
		if len(s.Node.Join) == 0 {
			s.Node.BootstrapExpect = 1
		}
	}
	for _, follow := range []struct {
		into *bool
		set  *bool
	}{{&s.Meter, s.meter}, {&s.Admission, s.admission}, {&s.Breakers, s.breakers}} {
		*follow.into = s.AuthEnabled
		if follow.set != nil {
			*follow.into = *follow.set
		}
	}
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	var err error
	s.Node.TLS, err = s.loadTLS()
	add(err)
	add(s.loadHTTPCertificate())
	add(s.checkOrigins())
	s.Node.GossipKey, err = s.loadGossipKey()
	add(err)
	add(s.loadRootAPIKey())
	add(s.loadPatterns())
	add(s.loadOTLPHeaders())
	s.BackupKeys, err = backup.ParseKeys(s.backupRecipients, s.backupIdentityFile)
	add(err)
	s.Node.RestoreKeys = s.BackupKeys
	if _, _, err := net.SplitHostPort(s.HTTPAddr); err != nil {
		add(fmt.Errorf("http-addr %q is not host:port: %w", s.HTTPAddr, err))
	}
	add(s.checkTimes())
	add(s.checkExposure())
	add(s.Node.Validate())
	return errors.Join(errs...)
}

func (s *Server) loadTLS() (_ *tls.Config, err error) {
	if s.TLSCert+s.TLSKey+s.TLSCA == "" {
		return nil, nil
	}
	if s.TLSCert == "" || s.TLSKey == "" || s.TLSCA == "" {
		return nil, errors.New("TLS between nodes needs three files: tls-cert, tls-key and tls-ca")
	}
	if s.NodeCertificate, err = certs.Open(s.TLSCert, s.TLSKey); err != nil {
		return nil, fmt.Errorf("tls-cert, tls-key: %w", err)
	}
	config, err := transport.MutualTLS(s.NodeCertificate, s.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("tls-ca: %w", err)
	}
	return config, nil
}

func (s *Server) loadHTTPCertificate() (err error) {
	if s.HTTPTLSCert+s.HTTPTLSKey == "" {
		return nil
	}
	if s.HTTPTLSCert == "" || s.HTTPTLSKey == "" {
		return errors.New("HTTPS needs two files: http-tls-cert and http-tls-key")
	}
	if s.HTTPCertificate, err = certs.Open(s.HTTPTLSCert, s.HTTPTLSKey); err != nil {
		return fmt.Errorf("http-tls-cert, http-tls-key: %w", err)
	}
	return nil
}

// HTTPTLS is how HTTP is secured, nil for plain HTTP.
func (s *Server) HTTPTLS() *tls.Config {
	if s.HTTPCertificate == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.HTTPCertificate.GetCertificate}
}

// checkOrigins refuses what no browser sends as an origin, and a "*" that hides
// among others.
func (s *Server) checkOrigins() error {
	var errs []error
	for _, origin := range s.AllowedOrigins {
		if origin == "*" {
			if len(s.AllowedOrigins) > 1 {
				errs = append(errs, errors.New(`allowed-origins: "*" is every origin, so that the others mean nothing: give one or the other`))
			}
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) || strings.Contains(u.Host, "*") {
			errs = append(errs, fmt.Errorf("allowed-origins: %q is no origin: give scheme, host and, if it is not the usual one, port, as in https://app.example.com", origin))
		}
	}
	return errors.Join(errs...)
}

func (s *Server) loadGossipKey() ([]byte, error) {
	text, err := secretOf("gossip-key", s.GossipKey, s.GossipKeyFile)
	if err != nil {
		return nil, err
	}
	return parseKey(text)
}

// secretOf is a secret that is given by itself or in a file.
func secretOf(name, text, file string) (string, error) {
	if file == "" {
		return text, nil
	}
	if text != "" {
		return "", fmt.Errorf("%s and %s-file are both set: give one of them", name, name)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s-file: %w", name, err)
	}
	if text = strings.TrimSpace(string(raw)); text == "" {
		return "", fmt.Errorf("%s-file %s is empty", name, file)
	}
	return text, nil
}

// loadRootAPIKey reads the secret of the first admin key and refuses one that
// could be guessed.
func (s *Server) loadRootAPIKey() (err error) {
	if s.RootAPIKey, err = secretOf("root-api-key", s.RootAPIKey, s.RootAPIKeyFile); err != nil || s.RootAPIKey == "" {
		return err
	}
	if err := auth.CheckRootSecret(s.RootAPIKey); err != nil {
		return fmt.Errorf("root-api-key: %w", err)
	}
	return nil
}

// loadOTLPHeaders reads the headers for the collector of traces.
func (s *Server) loadOTLPHeaders() error {
	text, err := secretOf("otlp-headers", s.otlpHeaders, s.otlpHeadersFile)
	if err != nil {
		return err
	}
	if s.OTLPHeaders, err = otlp.ParseHeaders(text); err != nil {
		return fmt.Errorf("otlp-headers: %w", err)
	}
	return nil
}

// loadPatterns adds the operator's patterns to those of the content defence.
func (s *Server) loadPatterns() error {
	if s.DefensePatternsFile == "" {
		return nil
	}
	raw, err := os.ReadFile(s.DefensePatternsFile)
	if err != nil {
		return fmt.Errorf("defense-patterns-file: %w", err)
	}
	var file struct {
		Patterns []struct {
			Name   string `yaml:"name"`
			Expr   string `yaml:"expr"`
			Action string `yaml:"action"`
		} `yaml:"patterns"`
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return fmt.Errorf("defense-patterns-file %s: %w: it holds a list named patterns, each with name, expr and action", s.DefensePatternsFile, err)
	}
	for _, p := range file.Patterns {
		pattern := defense.Pattern{Name: p.Name, Expr: p.Expr}
		if err := pattern.Action.UnmarshalText([]byte(p.Action)); err != nil {
			return fmt.Errorf("defense-patterns-file %s: pattern %q: %w", s.DefensePatternsFile, p.Name, err)
		}
		s.Defense.Patterns = append(s.Defense.Patterns, pattern)
	}
	if err := s.Defense.Validate(); err != nil {
		return fmt.Errorf("defense-patterns-file %s: %w", s.DefensePatternsFile, err)
	}
	return nil
}

// parseKey reads a key in hex or base64. Text that is both is hex: that a key's
// base64 happens to have only hex digits is practically impossible.
func parseKey(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if key, err := decode(text); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("the gossip key is neither hex nor base64: `openssl rand -hex 32` makes one")
}

func (s *Server) checkTimes() error {
	var errs []error
	if s.Node.WriteTimeout > maxWait {
		errs = append(errs, fmt.Errorf("write-timeout is %v: at most %v is possible", s.Node.WriteTimeout, maxWait))
	}
	if s.Node.ReadTimeout > maxWait {
		errs = append(errs, fmt.Errorf("read-timeout is %v: at most %v is possible", s.Node.ReadTimeout, maxWait))
	}
	if s.ShutdownTimeout <= 0 {
		errs = append(errs, fmt.Errorf("shutdown-timeout is %v: it must be positive", s.ShutdownTimeout))
	}
	if s.ShutdownDelay < 0 || s.ShutdownDelay > maxShutdownDelay {
		errs = append(errs, fmt.Errorf("shutdown-delay is %v: 0 to %v is possible", s.ShutdownDelay, maxShutdownDelay))
	}
	return errors.Join(errs...)
}

// checkExposure refuses ports that other machines can reach and nothing
// protects, unless the operator accepts that.
func (s *Server) checkExposure() error {
	if s.AllowInsecure {
		return nil
	}
	var errs []error
	if !s.AuthEnabled {
		errs = append(errs, beyondLoopback("http-addr", s.HTTPAddr, "authentication is off (auth-enabled)"))
	}
	if s.Node.TLS == nil {
		errs = append(errs, beyondLoopback("cluster-addr", s.Node.ClusterAddr, "node-to-node TLS is off (tls-cert, tls-key, tls-ca)"))
	}
	if len(s.Node.GossipKey) == 0 {
		errs = append(errs, beyondLoopback("gossip-addr", s.Node.GossipAddr, "gossip is not encrypted (gossip-key)"))
	}
	return errors.Join(errs...)
}

func beyondLoopback(name, address, reason string) error {
	host, _, err := net.SplitHostPort(address)
	isAddress := err == nil // what is none is reported by its own check
	if !isAddress || isLoopback(host) {
		return nil
	}
	return fmt.Errorf("%s %s can be reached from other machines, but %s: listen on loopback, or accept that with --allow-insecure", name, address, reason)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// HTTPAdvertise is the address of the HTTP API that the node tells the others,
// given the one that it listens on.
func (s *Server) HTTPAdvertise(listening net.Addr) string {
	host, port, err := net.SplitHostPort(listening.String())
	if err != nil {
		return listening.String()
	}
	if isLoopback(host) {
		return net.JoinHostPort(host, port)
	}
	switch ip := net.ParseIP(host); {
	case s.Node.AdvertiseHost != "":
		host = s.Node.AdvertiseHost
	case ip == nil || ip.IsUnspecified():
		if cluster, _, err := net.SplitHostPort(s.Node.ClusterAddr); err == nil {
			host = cluster
		}
	}
	return net.JoinHostPort(host, port)
}

// RequestTimeout bounds one HTTP request: longer than any wait inside the node,
// so that the node's own answer reaches the client.
func (s *Server) RequestTimeout() time.Duration {
	return max(s.Node.WriteTimeout, s.Node.ReadTimeout) + 5*time.Second
}

// Logger makes the process's logger, which writes to w. Lines that are logged with
// the context of a trace name it.
func (s *Server) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	if s.LogFormat == "text" {
		return slog.New(tracing.LogHandler(slog.NewTextHandler(w, options)))
	}
	return slog.New(tracing.LogHandler(slog.NewJSONHandler(w, options)))
}
