package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

// probeTimeout bounds each question of doctor to a node or a port.
const probeTimeout = 5 * time.Second

// sighting is what was seen of one node.
type sighting struct {
	URL     string `json:"url"`
	Err     string `json:"error,omitempty"` // why there is no more
	Health  *v1.Health
	Ready   *v1.Readiness
	Cluster *v1.Cluster
	// Metrics are the samples by name and labels, as in the text format; nil if
	// they could not be had.
	Metrics map[string]float64 `json:"-"`
	raw     []byte
	// Ahead is how far the node's clock is ahead of this machine's, to half a
	// second and half of the round trip.
	Ahead time.Duration
	// CertificateEnds is when the certificate of HTTPS expires.
	CertificateEnds time.Time `json:"certificate_ends,omitzero"`
	// Open says that the node answers without an API key.
	Open bool
}

// look asks one node everything.
func look(ctx context.Context, c *client.Client, i int, plain *http.Client) sighting {
	ctx, cancel := context.WithTimeout(ctx, 4*probeTimeout)
	defer cancel()
	s := sighting{URL: c.Endpoints()[i]}
	if err := s.touch(ctx, plain); err != nil {
		s.Err = err.Error()
		return s
	}
	var err error
	if s.Health, err = c.Health(ctx, i); err != nil {
		s.Err = err.Error()
		return s
	}
	if s.Ready, err = c.Ready(ctx, i); err != nil {
		s.Ready = notReady(err)
	}
	if s.Cluster, err = c.Cluster(ctx, i); err != nil {
		s.Err = err.Error()
	}
	if s.raw, err = c.Document(ctx, i, "/metrics"); err == nil {
		s.Metrics = samples(s.raw)
	}
	return s
}

// touch asks without a key: what the node's clock says, what its certificate is,
// and whether it needs one.
func (s *sighting) touch(ctx context.Context, plain *http.Client) error {
	began := time.Now()
	resp, err := get(ctx, plain, s.URL+"/livez")
	if err != nil {
		return err
	}
	took := time.Since(began)
	if date, err := http.ParseTime(resp.date); err == nil {
		s.Ahead = date.Add(time.Second / 2).Sub(began.Add(took / 2)) // the header has whole seconds
	}
	s.CertificateEnds = resp.certificateEnds
	if resp, err = get(ctx, plain, s.URL+"/v1/lenses"); err != nil {
		return err
	}
	s.Open = resp.status == http.StatusOK
	return nil
}

// head is what matters of an answer.
type head struct {
	status          int
	date            string
	certificateEnds time.Time
}

func get(ctx context.Context, plain *http.Client, target string) (head, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return head{}, err
	}
	resp, err := plain.Do(req)
	if err != nil {
		return head{}, err
	}
	defer resp.Body.Close()
	h := head{status: resp.StatusCode, date: resp.Header.Get("Date")}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		h.certificateEnds = resp.TLS.PeerCertificates[0].NotAfter
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection is used again
	return h, err
}

// plainClient asks without an API key.
func plainClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: probeTimeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// notReady is the answer that a node gives when it is not ready.
func notReady(err error) *v1.Readiness {
	r := &v1.Readiness{Checks: []v1.Check{{Name: "answer", Detail: err.Error()}}}
	if problem, ok := asProblem(err); ok && len(problem.Checks) > 0 {
		r.Checks = problem.Checks
	}
	return r
}

// samples reads Prometheus' text format.
func samples(text []byte) map[string]float64 {
	values := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			values[line[:at]] = v
		}
	}
	return values
}

// port is one that a member says it listens on.
type port struct{ node, use, address string }

// unreachable tries to connect to every port and returns why it failed, by port.
func unreachable(ctx context.Context, ports []port) map[port]string {
	var mu sync.Mutex
	var wg sync.WaitGroup
	failed := map[port]string{}
	for _, p := range ports {
		wg.Go(func() {
			conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", p.address)
			if err == nil {
				err = conn.Close()
			}
			if err != nil {
				mu.Lock()
				failed[p] = err.Error()
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed
}

// loopback tells whether a URL leads to this machine only.
func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// quantity writes bytes for people.
func quantity(b float64) string { return fmt.Sprintf("%.1f MiB", b/(1<<20)) }
