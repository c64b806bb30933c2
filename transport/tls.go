package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
)

// LoadTLS makes the settings for mutual TLS 1.3 between nodes. cert and key are
// PEM files of this node's certificate (with its chain) and private key; ca is a
// PEM file of the authorities that sign the nodes' certificates. Both sides of
// every connection must show a certificate of such an authority, and the
// dialled one must hold the host or IP by which it was dialled.
//
// The certificate and key are read again for every handshake, so that a
// renewed pair is used without a restart; while the files cannot be read or do
// not match, the last good pair is used. ca is read once.
func LoadTLS(cert, key, ca string) (*tls.Config, error) {
	if cert == "" || key == "" || ca == "" {
		return nil, errors.New("TLS between nodes needs three files: certificate, key and CA")
	}
	pair := &keyPair{certFile: cert, keyFile: key}
	if _, err := pair.load(); err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate: it must be that of the authority that signs the nodes' certificates", ca)
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		ClientAuth:           tls.RequireAndVerifyClientCert,
		ClientCAs:            authorities,
		RootCAs:              authorities,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current(), nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.current(), nil },
	}, nil
}

// keyPair is a certificate and key on disk.
type keyPair struct {
	certFile, keyFile string

	mu   sync.Mutex
	last *tls.Certificate
}

// load reads the pair and remembers it.
func (p *keyPair) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return nil, fmt.Errorf("load the node's certificate %s and key %s: %w", p.certFile, p.keyFile, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = &pair
	return p.last, nil
}

// current is the pair on disk, or the last good one.
func (p *keyPair) current() *tls.Certificate {
	if pair, err := p.load(); err == nil {
		return pair
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}
