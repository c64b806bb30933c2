package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

const (
	// handshakeTimeout bounds the time from a connection's first byte to its
	// acceptance, TLS included.
	handshakeTimeout = 5 * time.Second
	// dialTimeout bounds the TCP connect.
	dialTimeout = 3 * time.Second
	// pingInterval is how often the dialling side of a call connection shows
	// that it is alive; silenceLimit is how long either side waits for any byte
	// before it gives the connection up.
	pingInterval = 3 * time.Second
	silenceLimit = 10 * time.Second
	// writeTimeout is how long a write may make no progress before the peer
	// counts as stuck.
	writeTimeout = 10 * time.Second
	// unusedLimit is how long a call connection is kept without calls.
	unusedLimit = 5 * time.Minute
	// maxHandling bounds the handling of a request that names no deadline.
	maxHandling = time.Minute

	// maxConnections bounds the accepted connections that are open at once.
	maxConnections = 1024
	// maxInFlight bounds the calls of one connection that are under way.
	maxInFlight = 256
	// maxInFlightBytes bounds the bodies of the requests of one connection that
	// are being handled.
	maxInFlightBytes = 64 << 20
	// maxPending is how many bytes may wait to be written to a connection before
	// further frames have to wait.
	maxPending = 4 << 20

	// MaxBody is the largest body of a request or an answer, in bytes.
	MaxBody = 16 << 20
)

// Config is what a Transport needs to know.
type Config struct {
	// Addr is where to listen (host:port). Port 0 picks a free one.
	Addr string
	// Advertise is how the other nodes reach this one: a host, to which the
	// bound port is added, or host:port. Empty means the bound address, which
	// must then be a specific one.
	Advertise string
	// TLS secures every connection in both directions (see MutualTLS). Nil means
	// plain text.
	TLS *tls.Config
	// ClusterID names this node's cluster, "" while it has none; nil always says
	// "". A raft connection of another cluster is refused: a node whose address
	// once belonged to another cluster must not hear that one's leader.
	ClusterID func() string
	// Logger receives refused connections and failures; nil means
	// slog.Default().
	Logger *slog.Logger
}

// advertised combines the setting with the address that was bound.
func advertised(setting string, bound net.Addr) (string, error) {
	_, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		return "", fmt.Errorf("bound address %s: %w", bound, err)
	}
	if setting == "" {
		if tcp, ok := bound.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
			return "", fmt.Errorf("%s is every interface of this machine: say by which host the other nodes reach it", bound)
		}
		return bound.String(), nil
	}
	if host, given, err := net.SplitHostPort(setting); err == nil {
		if host == "" || given == "" || given == "0" {
			return "", fmt.Errorf("advertised address %q: give a host, or host:port with the port at which the other nodes reach this one", setting)
		}
		return setting, nil
	}
	if ip := net.ParseIP(setting); ip != nil && ip.IsUnspecified() {
		return "", errors.New("advertised address " + setting + " is every interface: the other nodes cannot reach that")
	}
	return net.JoinHostPort(setting, port), nil
}
