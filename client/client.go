package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Client talks to the nodes of one cluster. It is safe for concurrent use.
type Client struct {
	endpoints      []string
	http           *http.Client
	roots          *x509.CertPool // of https endpoints; nil: those of the system
	apiKey         string
	attempts       int
	readYourWrites bool
	maxWork        int
	pause          func(context.Context, time.Duration) error

	preferred atomic.Uint32 // endpoint that answered last; at first, any of them
	seen      atomic.Uint64 // highest log index in an answer
}

// Option changes a client's behaviour.
type Option func(*Client)

// WithAPIKey sends an API key with every request.
func WithAPIKey(key string) Option { return func(c *Client) { c.apiKey = key } }

// WithAttempts bounds how often one request is tried, over all endpoints; 1
// switches retries off. The default is 12 for each endpoint, which rides out
// about ten seconds without an answer.
func WithAttempts(n int) Option { return func(c *Client) { c.attempts = max(n, 1) } }

// StartAt sends the first request to a particular endpoint, by its place among
// them, rather than to any. Many clients of one program spread evenly so.
func StartAt(endpoint int) Option {
	return func(c *Client) { c.preferred.Store(uint32(max(endpoint, 0) % len(c.endpoints))) }
}

// WithRootCAs makes the given authorities, and no others, count for the
// certificates of https endpoints. The default is those of the operating
// system.
func WithRootCAs(roots *x509.CertPool) Option { return func(c *Client) { c.roots = roots } }

// ReadRootCAs reads a PEM file of authorities for WithRootCAs, such as the
// ca.pem of `stemedb certs`.
func ReadRootCAs(file string) (*x509.CertPool, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s holds no PEM certificate: it must be that of the authority that signs the nodes' certificates", file)
	}
	return roots, nil
}

// WithHTTPClient replaces the HTTP client, for TLS settings or proxies; then
// WithRootCAs changes nothing. The default one follows no redirect: a node sends none, and the API key must not
// go elsewhere.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// ReadYourWrites makes every read see at least what earlier answers to this
// client have shown.
func ReadYourWrites() Option { return func(c *Client) { c.readYourWrites = true } }

// New makes a client for the nodes at the given base URLs, such as
// http://localhost:18180. It does not connect yet. The first request goes to
// any of them, so that many clients spread over the nodes; later ones go to the
// node that answered last.
func New(endpoints []string, options ...Option) (*Client, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("no endpoint: give the URL of at least one node")
	}
	c := &Client{attempts: attemptsPerEndpoint * len(endpoints), pause: sleep, maxWork: defaultWork}
	for _, e := range endpoints {
		base, err := baseURL(e)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, base)
	}
	c.preferred.Store(rand.Uint32N(uint32(len(endpoints))))
	for _, o := range options {
		o(c)
	}
	if c.http == nil {
		c.http = &http.Client{Transport: transport(c.roots), CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
	}
	return c, nil
}

// baseURL checks an endpoint. Errors and logs name endpoints, so that one may
// hold no password.
func baseURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("endpoint %q is no http or https URL", endpoint)
	case u.User != nil:
		return "", fmt.Errorf("the endpoint at %s holds a user name or a password: send an API key instead", u.Host)
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("endpoint %q has a query or a fragment: give the base URL of a node", endpoint)
	}
	return strings.TrimRight(endpoint, "/"), nil
}

// transport keeps enough idle connections for many concurrent callers, and
// does not wait for a machine that is gone.
func transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   512,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
	}
}

// Endpoints are the base URLs of the nodes.
func (c *Client) Endpoints() []string { return append([]string(nil), c.endpoints...) }

// SeenIndex is the highest log index in any answer to this client.
func (c *Client) SeenIndex() uint64 { return c.seen.Load() }

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }
