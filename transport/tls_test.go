package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stemedb/stemedb/internal/certs"
)

func echoIndex(context.Context, ReadIndexRequest) (ReadIndexResponse, error) {
	return ReadIndexResponse{Index: 1}, nil
}

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// write makes a certificate and writes the three files that loadTLS reads.
func (a *authority) write(t testing.TB, dir, name string, ips ...net.IP) (cert, key, ca string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: ips, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, ca = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	for path, content := range map[string][]byte{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		ca:   a.pem,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, ca
}

func loadTLS(cert, key, ca string) (*tls.Config, error) {
	pair, err := certs.Open(cert, key)
	if err != nil {
		return nil, err
	}
	return MutualTLS(pair, ca)
}

func loopback() net.IP { return net.IPv4(127, 0, 0, 1) }

// config is the setting of a loopback node whose certificate a signed.
func (a *authority) config(t testing.TB, name string) *tls.Config {
	t.Helper()
	cfg, err := loadTLS(a.write(t, t.TempDir(), name, loopback()))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestMutualTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	elsewhere, err := loadTLS(ours.write(t, t.TempDir(), "elsewhere", net.IPv4(10, 9, 8, 7)))
	if err != nil {
		t.Fatal(err)
	}
	bare := ours.config(t, "bare") // trusts, but shows nothing
	bare.GetClientCertificate = nil
	secure, plain := ours.config(t, "server"), (*tls.Config)(nil)
	for name, test := range map[string]struct {
		server, client *tls.Config
		says           string // empty: it works
	}{
		"both verified":                  {secure, ours.config(t, "client"), ""},
		"both plain":                     {plain, plain, ""},
		"the caller is plain":            {secure, plain, "demands TLS"},
		"the caller alone has TLS":       {plain, ours.config(t, "client"), "has no certificate"},
		"the caller is a stranger":       {secure, theirs.config(t, "client"), "unknown authority"},
		"the server is a stranger":       {theirs.config(t, "server"), ours.config(t, "client"), "unknown authority"},
		"the caller has no certificate":  {secure, bare, "does not accept this node's certificate"},
		"the server's name is not there": {elsewhere, ours.config(t, "client"), "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := listen(t, Config{TLS: test.server}, &node{readIndex: echoIndex})
			_, err := listen(t, Config{TLS: test.client}, nil).Client().ReadIndex(t.Context(), server.Addr(), ReadIndexRequest{})
			switch {
			case test.says == "" && err != nil:
				t.Error(err)
			case test.says != "" && (!errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), test.says)):
				t.Errorf("%v, want ErrUnreachable that says %q", err, test.says)
			}
		})
	}
}

func TestTheServerVerifiesTheCallerToo(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	server := listen(t, Config{TLS: ours.config(t, "server")}, &node{readIndex: echoIndex})
	spy := theirs.config(t, "spy")
	spy.InsecureSkipVerify = true // it takes any server, but shows a foreign certificate
	_, err := listen(t, Config{TLS: spy}, nil).Client().ReadIndex(t.Context(), server.Addr(), ReadIndexRequest{})
	if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a caller of another authority: %v", err)
	}
	old := ours.config(t, "old")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, err := listen(t, Config{TLS: old}, nil).Client().ReadIndex(t.Context(), server.Addr(), ReadIndexRequest{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a caller with TLS 1.2: %v", err)
	}
}

func TestMutualTLSSaysWhatIsWrong(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	cert, key, ca := a.write(t, t.TempDir(), "n1")
	_, otherKey, _ := b.write(t, t.TempDir(), "n2")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ cert, key, ca, says string }{
		"no such file":    {cert + "x", key, ca, cert + "x"},
		"pair mismatch":   {cert, otherKey, ca, otherKey},
		"empty authority": {cert, key, empty, empty},
		"no authority":    {cert, key, ca + "x", ca + "x"},
	} {
		if _, err := loadTLS(test.cert, test.key, test.ca); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want an error about %q", name, err, test.says)
		}
	}
}

func TestARenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	cfg, err := loadTLS(a.write(t, dir, "first", loopback()))
	if err != nil {
		t.Fatal(err)
	}
	server := listen(t, Config{TLS: cfg}, nil)
	caller := a.config(t, "caller")
	caller.ServerName = "127.0.0.1"
	seen := func() string {
		t.Helper()
		conn, ok := rawCall(t, server.Addr(), caller).(*tls.Conn)
		if !ok {
			t.Fatal("no TLS connection")
		}
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := seen(); got != "first" {
		t.Fatalf("the server shows %q", got)
	}
	cert, _, _ := a.write(t, dir, "second", loopback())
	if got := seen(); got != "second" {
		t.Errorf("after the renewal the server shows %q", got)
	}
	if err := os.WriteFile(cert, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := seen(); got != "second" {
		t.Errorf("while the file is torn the server shows %q", got)
	}
}
