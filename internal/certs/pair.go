package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// settled is the age from which a file's time of change is relied upon: a
// younger file may change again within the granularity of the time.
const settled = 2 * time.Second

// Pair is a certificate (with its chain) and key in two PEM files. Every use
// looks whether the files have changed since; while they have not, that costs
// two calls of stat.
type Pair struct {
	certFile, keyFile string

	mu        sync.Mutex
	log       *slog.Logger
	last      *tls.Certificate
	cert, key []byte   // the contents of the last good pair
	seen      [2]stamp // when it was read
	failure   string   // why the files could not be used when last looked at, "" if they could
}

// stamp tells one state of a file from another.
type stamp struct {
	info   os.FileInfo
	steady bool // old enough to be relied upon
}

// Open reads a pair. The error names the file that is wrong.
func Open(certFile, keyFile string) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, log: slog.New(slog.DiscardHandler)}
	if err := p.look(); err != nil {
		return nil, err
	}
	return p, nil
}

// LogTo makes the pair tell of renewals, and of each renewal that cannot be
// used once.
func (p *Pair) LogTo(log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = log.With("cert_file", p.certFile, "key_file", p.keyFile)
}

// Current is the pair on disk, or the last good one. Its Leaf is set.
func (p *Pair) Current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.last
	err := p.look()
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	switch {
	case p.last != before:
		p.log.Info("a renewed certificate is in use", "not_after", p.last.Leaf.NotAfter.UTC())
	case failure != "" && failure != p.failure:
		p.log.Error("the certificate has changed and cannot be used: the one before stays in use", "error", err, "not_after", p.last.Leaf.NotAfter.UTC())
	}
	p.failure = failure
	return p.last
}

// Expiry is when the current certificate expires.
func (p *Pair) Expiry() time.Time { return p.Current().Leaf.NotAfter }

// GetCertificate is for tls.Config.
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.Current(), nil
}

// GetClientCertificate is for tls.Config.
func (p *Pair) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return p.Current(), nil
}

// look reads the files if they may have changed, and takes a pair that is good.
func (p *Pair) look() error {
	now := time.Now()
	var stamps [2]stamp
	for i, path := range [2]string{p.certFile, p.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("read the certificate and key: %w", err)
		}
		stamps[i] = stamp{info, now.Sub(info.ModTime()) > settled}
	}
	if stamps[0].same(p.seen[0]) && stamps[1].same(p.seen[1]) {
		return nil
	}
	cert, err := os.ReadFile(p.certFile)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	key, err := os.ReadFile(p.keyFile)
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	if p.last == nil || !bytes.Equal(cert, p.cert) || !bytes.Equal(key, p.key) {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("load the node's certificate %s and key %s: %w", p.certFile, p.keyFile, err)
		}
		p.last = &pair
	}
	p.cert, p.key, p.seen = cert, key, stamps
	return nil
}

// same tells whether a file is certainly in the state that was seen.
func (s stamp) same(seen stamp) bool {
	return seen.info != nil && seen.steady && os.SameFile(s.info, seen.info) &&
		s.info.ModTime().Equal(seen.info.ModTime()) && s.info.Size() == seen.info.Size()
}

// ReadPool reads a PEM file of one or more authorities' certificates.
func ReadPool(file string) (*x509.CertPool, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s: %w", file, errNoCertificate)
	}
	return pool, nil
}

var errNoCertificate = errors.New("it holds no PEM certificate: it must be that of the authority that signs the certificates")
