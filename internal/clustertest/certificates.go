package clustertest

import (
	"testing"
	"time"

	"github.com/stemedb/stemedb/internal/certs"
)

// NodeCertificates are files with an authority and one certificate for
// node-to-node TLS, which all nodes of a cluster use.
type NodeCertificates struct {
	t         testing.TB
	dir       string
	authority *certs.Authority
	node      *certs.Node
}

// NewNodeCertificates makes a certificate that is valid for some time.
func NewNodeCertificates(t testing.TB, valid time.Duration) *NodeCertificates {
	t.Helper()
	authority, err := certs.NewAuthority("test", time.Now(), 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := &NodeCertificates{t: t, dir: t.TempDir(), authority: authority}
	if err := authority.Write(c.dir, false); err != nil {
		t.Fatal(err)
	}
	c.Renew(valid)
	return c
}

// Renew replaces the certificate by one that is valid for some time, and returns
// when it expires.
func (c *NodeCertificates) Renew(valid time.Duration) time.Time {
	c.t.Helper()
	node, err := c.authority.NewNode("node", []string{"127.0.0.1"}, time.Now(), valid)
	if err == nil {
		err = node.Write(c.dir, true)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.node = node
	return node.Expiry()
}

// Settings are the flags that make a node use the files.
func (c *NodeCertificates) Settings() map[string]string {
	cert, key, ca := c.node.Files(c.dir)
	return map[string]string{"tls-cert": cert, "tls-key": key, "tls-ca": ca}
}
