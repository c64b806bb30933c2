package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/api"
	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/internal/auditlog"
	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/settings"
	"github.com/stemedb/stemedb/internal/version"
	"github.com/stemedb/stemedb/node"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one node",
		Long: `Run one node. The same command line serves the first start, a restart and scaling up: a node with data resumes; one without
joins the cluster that it finds, and a new cluster is formed once bootstrap-expect nodes see each other.

SIGTERM or SIGINT: the node stops being ready, hands leadership over, finishes the requests under way and ends. A second signal
ends it at once.

Exit codes: 0 stopped by a signal, 1 start or stop failed, 78 wrong settings, 79 the node failed while it ran.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			effective, s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			log := s.Logger(cmd.ErrOrStderr())
			slog.SetDefault(log)
			p := process{settings: s, log: log, shown: displayed(effective)}
			return p.serve(cmd.Context())
		},
	}
	settings.AddFlags(cmd.Flags())
	return cmd
}

// process is one server process.
type process struct {
	settings *settings.Server
	shown    []v1.Setting
	log      *slog.Logger
	web      *http.Server
	webEnded chan error
	signals  chan os.Signal
}

// garbagePercent is how much garbage there may be beside what is in use, unless
// GOGC says otherwise. Most of what a node has in use are the index's blocks and
// memtables, which the collector does not look into: it may come twice as often
// as by default, for a node that takes less memory (docs/performance.md).
const garbagePercent = 50

func boundGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// serve runs a node until a signal or a failure. Its error carries the exit
// code.
func (p *process) serve(ctx context.Context) error {
	p.signals = make(chan os.Signal, 2)
	signal.Notify(p.signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(p.signals)
	boundGarbage()

	registry, metrics, err := newRegistry()
	if err != nil {
		return &exitcode.Error{Code: exitError, Err: err}
	}
	traces, err := p.startTraces(ctx, registry)
	if err != nil {
		return &exitcode.Error{Code: exitError, Err: err}
	}
	defer traces.end()
	inspector, err := newInspector(p.settings.Defense)
	if err != nil {
		return &exitcode.Error{Code: exitError, Err: err}
	}
	if err := p.openBackups(); err != nil {
		return &exitcode.Error{Code: exitUsage, Err: err}
	}
	limits := newLimits(p.settings)
	server, err := api.New(api.Config{
		Version: version.Number(), AcceptV1: p.settings.AcceptV1, Logger: p.log, LogLevel: p.settings.LogLevel,
		Auth:       api.AuthConfig{Enabled: p.settings.AuthEnabled, OpenDocs: p.settings.AuthOpenDocs, OpenMetrics: p.settings.AuthOpenMetrics},
		Inspector:  inspector,
		Settings:   p.shown,
		Limits:     limits.api,
		LastUsed:   limits.lastUsed,
		Tracer:     traces.tracer,
		Registerer: registry, Metrics: metrics, RequestTimeout: p.settings.RequestTimeout(),
		AllowedOrigins: p.settings.AllowedOrigins, TrustedProxies: p.settings.TrustedProxies, MaxConnections: p.settings.MaxConnections,
	})
	if err != nil {
		return &exitcode.Error{Code: exitError, Err: err}
	}
	p.followCertificates(registry)
	listening, err := p.listen(server)
	if err != nil {
		return &exitcode.Error{Code: exitError, Err: err}
	}
	p.warnAboutExposure(listening)
	config := p.settings.Node
	config.HTTPAdvertise = p.settings.HTTPAdvertise(listening)
	config.Version, config.Registerer, config.Logger = version.Number(), registry, p.log
	config.NoFsync = noFsync
	config.NoReadIndex = noReadIndex
	config.Shared = limits.shared
	config.Tracer = traces.tracer

	n, signalled, err := p.start(ctx, config)
	if err != nil {
		code := exitError
		if errors.Is(err, node.ErrLogStore) {
			code = exitUsage
		}
		return &exitcode.Error{Code: code, Err: errors.Join(err, p.web.Close())}
	}
	server.Attach(n.ID(), store{n})
	root := p.ensureRootKey(ctx, n)
	defer root()
	audit, failure := p.openAudit(n) // behind the node's lock of the data directory
	if audit != nil {
		server.KeepAudit(audit)
	}
	if failure == nil && !signalled {
		failure = p.wait(n)
	}
	failure = errors.Join(failure, p.stop(n, failure == nil))
	if audit != nil {
		failure = errors.Join(failure, audit.Close())
	}
	return failure
}

// openBackups opens the store of scheduled backups, if there are to be some.
func (p *process) openBackups() (err error) {
	if p.settings.BackupURL == "" {
		return nil
	}
	p.settings.Node.Backups.Store, err = backup.OpenStore(p.settings.BackupURL, p.settings.BackupKeys)
	return err
}

// openAudit opens the audit of queries in the data directory; nil if it is
// switched off.
func (p *process) openAudit(n *node.Node) (*auditlog.Log, error) {
	if !p.settings.AuditEnabled {
		return nil, nil //nolint:nilnil // no audit is what the operator wants
	}
	dir := filepath.Join(p.settings.Node.DataDir, "audit")
	audit, err := auditlog.Open(dir, auditlog.Options{
		MaxEntries: p.settings.AuditMaxEntries, Logger: p.log, Paused: func() bool { return n.DiskTrouble() != nil },
	})
	if err != nil {
		return nil, &exitcode.Error{Code: exitError, Err: err}
	}
	return audit, nil
}

// listen begins to serve HTTP. Until a store is attached the server answers
// probes only.
func (p *process) listen(handler *api.Server) (net.Addr, error) {
	listener, err := net.Listen("tcp", p.settings.HTTPAddr)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP: %w: stop what uses the port, or give another --http-addr", err)
	}
	p.web = handler.HTTPServer(p.settings.HTTPAddr)
	p.webEnded = make(chan error, 1)
	serve := p.web.Serve
	if p.web.TLSConfig = p.settings.HTTPTLS(); p.web.TLSConfig != nil {
		serve = func(l net.Listener) error { return p.web.ServeTLS(l, "", "") }
	}
	go func() { p.webEnded <- serve(handler.Limit(listener)) }()
	p.log.Info("http listening", "addr", listener.Addr().String(), "tls", p.web.TLSConfig != nil, "version", version.Number(), "commit", version.Commit())
	return listener.Addr(), nil
}

// start opens the node. A signal does not cut the opening short, but is obeyed
// right after it: signalled is true then.
func (p *process) start(ctx context.Context, config node.Config) (n *node.Node, signalled bool, err error) {
	started := make(chan struct{})
	go func() {
		defer close(started)
		n, err = node.Start(ctx, config)
	}()
	for {
		select {
		case <-started:
			return n, signalled, err
		case sig := <-p.signals:
			if signalled {
				p.exitAtOnce(sig)
			}
			signalled = true
			p.log.Info("stopping as soon as the data is open; a second signal does not wait", "signal", sig.String())
		}
	}
}

// wait returns nil after a signal, else what ended the service.
func (p *process) wait(n *node.Node) error {
	select {
	case sig := <-p.signals:
		p.log.Info("stopping", "signal", sig.String())
		return nil
	case <-n.Failure():
		return &exitcode.Error{Code: exitFailed, Err: fmt.Errorf("the node has failed: %w", n.Err())}
	case err := <-p.webEnded:
		return &exitcode.Error{Code: exitError, Err: fmt.Errorf("serve HTTP: %w", err)}
	}
}

// stop ends the process from the outside inwards: not ready, leadership away,
// load balancers given time to notice, no new connections, requests under way
// answered, node closed.
func (p *process) stop(n *node.Node, graceful bool) error {
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case sig := <-p.signals:
			p.exitAtOnce(sig)
		case <-done:
		}
	}()
	if graceful {
		noticed := time.After(p.settings.ShutdownDelay)
		ctx, cancel := context.WithTimeout(context.Background(), p.settings.ShutdownDelay+p.settings.ShutdownTimeout)
		n.PrepareStop(ctx)
		cancel()
		select {
		case <-noticed:
		case <-n.Failure():
		}
	}
	// What came before takes nothing from the time of the requests under way.
	ctx, cancel := context.WithTimeout(context.Background(), p.settings.ShutdownTimeout)
	defer cancel()
	var errs []error
	if err := p.web.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("requests did not end within %v: %w", p.settings.ShutdownTimeout, err), p.web.Close())
	}
	errs = append(errs, n.Stop(ctx))
	if err := errors.Join(errs...); err != nil {
		return &exitcode.Error{Code: exitError, Err: err}
	}
	return nil
}

// exitAtOnce is the answer to a second signal. The node can be killed at any
// point without loss.
func (p *process) exitAtOnce(sig os.Signal) {
	p.log.Error("ended at once by a second signal", "signal", sig.String())
	os.Exit(exitError)
}

// warnAboutExposure says once what protects this node and what does not.
func (p *process) warnAboutExposure(listening net.Addr) {
	if !p.settings.AuthEnabled {
		p.log.Warn("authentication is off: whoever reaches the HTTP port may read and write", "http_addr", listening.String())
	}
	if a, ok := listening.(*net.TCPAddr); ok && !a.IP.IsLoopback() && p.settings.HTTPCertificate == nil {
		p.log.Warn("HTTP is not encrypted and can be reached from other machines: keys and claims can be read on the way, unless a proxy or tunnel in front encrypts (http-tls-cert, http-tls-key)", "http_addr", listening.String())
	}
	if p.settings.AcceptV1 {
		p.log.Warn("signatures of version 1 are accepted: they do not cover the object of a claim")
	}
}
