package transport

import (
	"crypto/tls"

	"github.com/stemedb/stemedb/internal/certs"
)

// MutualTLS makes the settings for mutual TLS 1.3 between nodes. pair is this
// node's certificate and key; ca is a PEM file of the authorities that sign the
// nodes' certificates. Both sides of every connection must show a certificate
// of such an authority, and the dialled one must hold the host or IP by which
// it was dialled.
//
// A renewed pair is used for the next handshake. ca is read once.
func MutualTLS(pair *certs.Pair, ca string) (*tls.Config, error) {
	authorities, err := certs.ReadPool(ca)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		ClientAuth:           tls.RequireAndVerifyClientCert,
		ClientCAs:            authorities,
		RootCAs:              authorities,
		GetCertificate:       pair.GetCertificate,
		GetClientCertificate: pair.GetClientCertificate,
	}, nil
}
