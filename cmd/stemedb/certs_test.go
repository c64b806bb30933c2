package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/certs"
	"github.com/stemedb/stemedb/internal/clustertest"
	"github.com/stemedb/stemedb/transport"
)

const (
	rootSecret   = "0f5a6c1be2d94387a1c0de5b7f93e8126d4b0a97c3f1e85d2b6a7094fc31e8da"
	gossipSecret = "c1f0aa3d5e6b7788994a5b6c7d8e9f00112233445566778899aabbccddeeff00"
)

// makeCA makes an authority by the command and returns its folder.
func makeCA(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if out, _, err := command(t, "certs", "ca", "--out", dir); err != nil || !strings.Contains(out, certs.CAFile) {
		t.Fatal(out, err)
	}
	return dir
}

// makeNode makes a node's certificate by the command.
func makeNode(t *testing.T, ca, name, out string, more ...string) {
	t.Helper()
	args := append([]string{"certs", "node", "--ca", ca, "--name", name, "--host", "127.0.0.1", "--host", "localhost", "--out", out}, more...)
	if out, _, err := command(t, args...); err != nil {
		t.Fatal(out, err)
	}
}

// secured is a cluster with everything on: HTTPS, mutual TLS between the nodes,
// encrypted gossip, API keys. Its certificates are in dir.
func secured(t *testing.T) (c *clustertest.Cluster, ca, dir string, roots *x509.CertPool) {
	t.Helper()
	ca, dir = makeCA(t), t.TempDir()
	roots, err := certs.ReadPool(filepath.Join(ca, certs.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	c = clustertest.New(t, clustertest.Options{RootCAs: roots, Settings: map[string]string{
		"auth-enabled": "true", "root-api-key": rootSecret, "gossip-key": gossipSecret, "tls-ca": filepath.Join(ca, certs.CAFile),
	}})
	for _, n := range c.Nodes {
		makeNode(t, ca, n.Name, dir)
		for _, use := range []string{"", "http-"} {
			n.Settings[use+"tls-cert"] = filepath.Join(dir, n.Name+".pem")
			n.Settings[use+"tls-key"] = filepath.Join(dir, n.Name+"-key.pem")
		}
	}
	if err := c.Cluster.Start(); err != nil {
		t.Fatal(err)
	}
	c.WaitReady()
	c.WaitFor("the root key is there", func() bool { _, err := c.Client().APIKeys(t.Context()); return err == nil })
	c.WaitNodeKeys()
	return c, ca, dir, roots
}

// shown is the certificate that a TLS server shows.
func shown(t *testing.T, address string, config *tls.Config) *x509.Certificate {
	t.Helper()
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatalf("dial %s: %v", address, err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// Three nodes with the certificates of one command: writes through each of
// them, nothing for a stranger, and a renewal that nobody notices.
func TestAClusterWithTheCertificatesOfTheCommand(t *testing.T) {
	c, ca, dir, roots := secured(t)
	written := 0
	write := func() {
		t.Helper()
		for _, n := range append(c.Followers(), c.Leader()) {
			if _, err := c.Client(n).Assert(t.Context(), clustertest.Claim(t, written)); err != nil {
				t.Fatalf("a write through %s: %v", n.Name, err)
			}
			written++
		}
	}
	write()
	state := c.WaitEqual()
	node := c.Nodes[0]

	t.Run("plain HTTP and a client that does not know the CA get nothing", func(t *testing.T) {
		resp, err := http.Get("http://" + node.HTTPAddr + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("X-Stemedb-Node") != "" {
			t.Errorf("plain HTTP: %s", resp.Status)
		}
		stranger, err := client.New([]string{node.URL}, client.WithAttempts(1))
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		if _, err := stranger.Health(t.Context(), 0); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("without the CA: %v", err)
		}
		if _, err := tls.Dial("tcp", node.HTTPAddr, &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}); err == nil {
			t.Error("TLS 1.1 is taken")
		}
	})
	t.Run("stemectl takes the CA", func(t *testing.T) {
		for _, tc := range []struct {
			ca   string
			code int
		}{{filepath.Join(ca, certs.CAFile), 0}, {"", 5}, {filepath.Join(dir, node.Name+"-key.pem"), 2}} {
			cmd := exec.CommandContext(t.Context(), clustertest.Binary(t, "stemectl"), "--url", node.URL, "ready", "--timeout", "10s")
			cmd.Env = append(os.Environ(), "STEMECTL_CA="+tc.ca)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != tc.code {
				t.Errorf("with the CA %q: %v, want exit code %d\n%s", tc.ca, err, tc.code, out)
			}
		}
	})
	t.Run("the node port is closed to strangers", func(t *testing.T) { strangers(t, c, ca, roots) })

	// Renewal: another certificate in place, with another validity.
	leader := c.Leader()
	old := shown(t, node.HTTPAddr, &tls.Config{RootCAs: roots})
	for _, n := range c.Nodes {
		makeNode(t, ca, n.Name, dir, "--force", "--days", "30")
	}
	pair, err := certs.Open(filepath.Join(dir, node.Name+".pem"), filepath.Join(dir, node.Name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	peers, err := transport.MutualTLS(pair, filepath.Join(ca, certs.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	peers.ServerName = "127.0.0.1"
	for _, n := range c.Nodes {
		for use, address := range map[string]string{"HTTP": n.HTTPAddr, "nodes": n.ClusterAddr} {
			config := &tls.Config{RootCAs: roots}
			if use == "nodes" {
				config = peers
			}
			if got := shown(t, address, config); got.SerialNumber.Cmp(old.SerialNumber) == 0 || got.NotAfter.After(time.Now().Add(31*day)) {
				t.Errorf("%s still shows its first certificate to %s (valid until %v)", n.Name, use, got.NotAfter)
			}
		}
		metrics, err := c.Client(n).Document(t.Context(), 0, "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range []string{"http", "cluster"} {
			name := fmt.Sprintf("stemedb_certificate_expiry_timestamp_seconds{use=%q} ", use)
			_, rest, found := strings.Cut(string(metrics), name)
			value, _, _ := strings.Cut(rest, "\n")
			var expiry float64
			if _, err := fmt.Sscan(value, &expiry); !found || err != nil || time.Until(time.Unix(int64(expiry), 0)) > 31*day {
				t.Errorf("%s: %s%s", n.Name, name, value)
			}
		}
	}
	if now := c.Leader(); now != leader {
		t.Errorf("the renewal moved leadership from %s to %s", leader.Name, now.Name)
	}
	write()
	// New handshakes in both directions, of a node with the new certificate alone.
	follower := c.Followers()[0]
	c.Kill(follower)
	write()
	c.Restart(follower)
	write()
	if after := c.WaitEqual(); after.Count != uint64(written) || after.Count <= state.Count {
		t.Errorf("%d claims are there, %d were written", after.Count, written)
	}

	// A file that is no certificate changes nothing and is told once.
	from := len(c.Log(node))
	broken := filepath.Join(dir, node.Name+".pem")
	if err := os.WriteFile(broken, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		shown(t, node.HTTPAddr, &tls.Config{RootCAs: roots})
	}
	const told = "cannot be used"
	c.WaitLog(node, from, told)
	if n := strings.Count(c.Log(node)[from:], `"use":"http","`+`cert_file`); n == 0 {
		t.Error("the log does not say which certificate")
	}
	if n := strings.Count(c.Log(node)[from:], `"msg":"the certificate has changed and `+told); n > 2 { // one for each use
		t.Errorf("%d complaints about one file", n)
	}
}

// strangers tries what only nodes may do, without their certificate.
func strangers(t *testing.T, c *clustertest.Cluster, ca string, roots *x509.CertPool) {
	otherCA := makeCA(t)
	dir := t.TempDir()
	foreign := func(ca, name string) *tls.Config {
		t.Helper()
		out := filepath.Join(dir, name)
		makeNode(t, ca, name, out)
		pair, err := certs.Open(filepath.Join(out, name+".pem"), filepath.Join(out, name+"-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		config, err := transport.MutualTLS(pair, filepath.Join(ca, certs.CAFile))
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	bare := &tls.Config{RootCAs: roots}
	other := foreign(otherCA, "other")
	other.RootCAs = roots // takes the node, but shows a certificate of another CA
	clusterID := c.Status(c.Nodes[0]).ClusterID
	before := c.WaitEqual()
	for name, tc := range map[string]struct {
		config *tls.Config
		in     bool
	}{
		"in plain text":                      {nil, false},
		"without a certificate":              {bare, false},
		"with a certificate of another CA":   {other, false},
		"with a certificate of this cluster": {foreign(ca, "spare"), true}, // so that the others fail for the right reason
	} {
		for _, n := range c.Nodes {
			caller, err := transport.Listen(transport.Config{Addr: "127.0.0.1:0", TLS: tc.config, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			hello, err := caller.Client().Hello(ctx, n.ClusterAddr, transport.HelloRequest{})
			if (err == nil) != tc.in || (hello.NodeID != "") != tc.in {
				t.Errorf("%s, %s answers hello with %+v, %v", name, n.Name, hello, err)
			}
			if !tc.in {
				record, err := clustertest.Claim(t, 1<<20).MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				answer, err := caller.Client().Forward(ctx, n.ClusterAddr, transport.ForwardRequest{
					ClusterID: clusterID, Callers: []transport.Caller{{RequestID: "forged"}}, Records: [][]byte{record},
				})
				if !errors.Is(err, transport.ErrUnreachable) && !errors.Is(err, transport.ErrProtocol) {
					t.Errorf("%s, %s takes a forwarded write: %+v, %v", name, n.Name, answer, err)
				}
				if conn, err := caller.RaftLayer().Dial(raft.ServerAddress(n.ClusterAddr), 10*time.Second); err == nil {
					_ = conn.Close()
					t.Errorf("%s, %s takes a raft connection", name, n.Name)
				}
			}
			cancel()
			if err := caller.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	// Whoever speaks HTTP to the node port learns nothing of the node.
	conn, err := net.Dial("tcp", c.Nodes[0].ClusterAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if text := string(answer); err != nil || !strings.Contains(text, "400") || strings.Contains(text, c.Nodes[0].Name) || strings.Contains(text, c.Nodes[0].HTTPAddr) {
		t.Errorf("HTTP on the node port: %v, %q", err, text)
	}
	if after := c.WaitEqual(); after.Content != before.Content {
		t.Errorf("strangers changed the state from %+v to %+v", before, after)
	}
}

func TestWrongCertsCommandsAreExplained(t *testing.T) {
	ca := makeCA(t)
	dir := t.TempDir()
	makeNode(t, ca, "node1", dir)
	node := func(more ...string) []string {
		return append([]string{"certs", "node", "--ca", ca, "--out", dir}, more...)
	}
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"certs", "ca"}, exitUsage, `"out" not set`},
		{[]string{"certs", "ca", "--out", dir, "--days=0"}, exitUsage, "--days 0"},
		{[]string{"certs", "ca", "--out", ca}, exitError, "--force"},
		{node("--name=node1", "--host=a"), exitError, "--force"},
		{node("--name=node2"), exitUsage, `"host" not set`},
		{node("--name=node2", "--host=http://a"), exitError, "without scheme"},
		{node("--name=../node2", "--host=a"), exitError, "the node's name"},
		{node("--name=node2", "--host=a", "--days=4000"), exitError, "the CA expires"},
		{[]string{"certs", "node", "--ca", dir, "--out", dir, "--name=a", "--host=a"}, exitError, "key of the CA"},
		{[]string{"certs", "node", "--ca", makeCA(t), "--out", dir, "--name=a", "--host=a"}, exitError, "another authority"},
	} {
		_, code, err := command(t, tc.args...)
		if code != tc.code || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: exit code %d, %v; want %d and %q", tc.args, code, err, tc.code, tc.want)
		}
	}
}
