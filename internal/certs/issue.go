package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The files of an authority, in a folder of its own or with its nodes'.
const (
	CAFile    = "ca.pem"
	CAKeyFile = "ca-key.pem"
)

// skew is how far back a certificate's validity begins, for nodes whose clock
// is behind.
const skew = time.Hour

// ErrExists refuses to write over a key.
var ErrExists = errors.New("the file exists")

// Authority signs the certificates of nodes.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority that is valid for a time from now.
func NewAuthority(name string, now time.Time, valid time.Duration) (*Authority, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-skew), NotAfter: now.Add(valid),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	cert, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &Authority{cert, key}, nil
}

// OpenAuthority reads the authority that Write left in a folder.
func OpenAuthority(dir string) (*Authority, error) {
	certText, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	keyText, err := os.ReadFile(filepath.Join(dir, CAKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read the key of the CA: %w", err)
	}
	a, err := parseAuthority(certText, keyText)
	if err != nil {
		return nil, fmt.Errorf("the CA in %s: %w", dir, err)
	}
	return a, nil
}

func parseAuthority(certText, keyText []byte) (*Authority, error) {
	block, _ := pem.Decode(certText)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no PEM certificate", CAFile)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CAFile, err)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%s is no certificate of an authority", CAFile)
	}
	block, _ = pem.Decode(keyText)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s holds no PKCS #8 key in PEM", CAKeyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read as a PKCS #8 key", CAKeyFile)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the ECDSA key of %s", CAKeyFile, CAFile)
	}
	return &Authority{cert, key}, nil
}

// Write writes the authority's two files into a folder, which it makes. With
// force it replaces an authority that is there; ErrExists otherwise.
func (a *Authority) Write(dir string, force bool) error {
	return writePair(dir, CAFile, CAKeyFile, a.cert, a.key, force)
}

// Expiry is when the authority's certificate expires, and every certificate
// that it signed with it.
func (a *Authority) Expiry() time.Time { return a.cert.NotAfter }

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return certificatePEM(a.cert) }

// Node is a certificate that an authority made for a node.
type Node struct {
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	ca   []byte
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

// NewNode makes the certificate of a node that is reached by the given host
// names and IP addresses, for both sides of a connection. The name is for
// people and names the files.
func (a *Authority) NewNode(name string, hosts []string, now time.Time, valid time.Duration) (*Node, error) {
	if !nodeName.MatchString(name) || strings.EqualFold(name, "ca") {
		return nil, fmt.Errorf("the node's name %q: 1 to 64 letters, digits, '.', '_' and '-' are possible, and not \"ca\"", name)
	}
	if len(hosts) == 0 {
		return nil, errors.New("no host: name every host name and IP address by which the node is reached")
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-skew), NotAfter: now.Add(valid), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if !hostName.MatchString(host) {
			return nil, fmt.Errorf("the host %q is neither a host name nor an IP address: give it without scheme and port", host)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		return nil, fmt.Errorf("the CA expires on %s, before the certificate would: give fewer days, or make a new CA", a.cert.NotAfter.UTC().Format(time.DateOnly))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	cert, err := sign(template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return &Node{name, cert, key, a.PEM()}, nil
}

// hostName is a DNS name, also one with a wildcard for its first label.
var hostName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// Files are the paths that Write uses in a folder.
func (n *Node) Files(dir string) (cert, key, ca string) {
	return filepath.Join(dir, n.name+".pem"), filepath.Join(dir, n.name+"-key.pem"), filepath.Join(dir, CAFile)
}

// Write writes certificate, key and the authority's certificate into a folder,
// which it makes. With force it replaces a pair that is there; ErrExists
// otherwise. It never replaces another authority's certificate.
func (n *Node) Write(dir string, force bool) error {
	_, _, ca := n.Files(dir)
	there, err := os.ReadFile(ca)
	switch {
	case err == nil && string(there) != string(n.ca):
		return fmt.Errorf("%s is that of another authority than the one that signs: give another folder, or remove it", ca)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("look for the CA: %w", err)
	}
	if err := writePair(dir, n.name+".pem", n.name+"-key.pem", n.cert, n.key, force); err != nil {
		return err
	}
	if there != nil {
		return nil
	}
	return replace(ca, n.ca, 0o644)
}

// Expiry is when the certificate expires.
func (n *Node) Expiry() time.Time { return n.cert.NotAfter }

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func certificatePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// writePair writes a key and its certificate; the key first, so that a
// certificate without its key is never left alone.
func writePair(dir, certName, keyName string, cert *x509.Certificate, key *ecdsa.PrivateKey, force bool) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	keyPath, certPath := filepath.Join(dir, keyName), filepath.Join(dir, certName)
	for _, path := range []string{keyPath, certPath} {
		if _, err := os.Lstat(path); err == nil && !force {
			return fmt.Errorf("%s: %w: give another folder, or --force to replace it", path, ErrExists)
		}
	}
	if err := replace(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return replace(certPath, certificatePEM(cert), 0o644)
}

// replace puts a whole file in place of what is there.
func replace(path string, content []byte, mode os.FileMode) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(file.Name())))
		}
	}()
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
