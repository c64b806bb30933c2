package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const year = 365 * 24 * time.Hour

func authority(t testing.TB) *Authority {
	t.Helper()
	a, err := NewAuthority("test CA", time.Now(), 10*year)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// write makes a node's certificate in dir; hosts are the node's.
func write(t testing.TB, a *Authority, dir, name string, hosts ...string) (cert, key string) {
	t.Helper()
	n, err := a.NewNode(name, append(hosts, "127.0.0.1"), time.Now(), year)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Write(dir, true); err != nil {
		t.Fatal(err)
	}
	cert, key, _ = n.Files(dir)
	return cert, key
}

func TestWhatAnAuthorityMakes(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "new")
	made := authority(t)
	if err := made.Write(dir, false); err != nil {
		t.Fatal(err)
	}
	a, err := OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	n, err := a.NewNode("node1", []string{"10.0.0.1", "db1.example.com", "::1"}, time.Now(), year)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Write(out, false); err != nil {
		t.Fatal(err)
	}
	cert, key, ca := n.Files(out)
	if runtime.GOOS != "windows" {
		for _, path := range []string{key, filepath.Join(dir, CAKeyFile)} {
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
	}
	pool, err := ReadPool(ca)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := Open(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := pair.Current().Leaf
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		for _, name := range []string{"10.0.0.1", "db1.example.com", "::1"} {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "node1"}); err == nil {
		t.Error("the name counts as a host")
	}
	if leaf.SerialNumber.BitLen() < 96 || leaf.IsCA || !made.cert.MaxPathLenZero || leaf.SerialNumber.Cmp(made.cert.SerialNumber) == 0 {
		t.Errorf("serial number %x, CA %t", leaf.SerialNumber, leaf.IsCA)
	}
}

func TestNothingIsOverwrittenUnasked(t *testing.T) {
	dir := t.TempDir()
	a := authority(t)
	n, err := a.NewNode("node1", []string{"a"}, time.Now(), year)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, ca := n.Files(dir)
	for i, write := range []func(dir string, force bool) error{a.Write, n.Write} {
		if err := write(dir, false); err != nil {
			t.Fatal(err)
		}
		if err := write(dir, false); !errors.Is(err, ErrExists) {
			t.Errorf("pair %d is written twice: %v", i, err)
		}
		if err := write(dir, true); err != nil {
			t.Errorf("pair %d with force: %v", i, err)
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := n.Write(dir, false); !errors.Is(err, ErrExists) {
		t.Errorf("a certificate without its key is overwritten: %v", err)
	}
	if err := os.WriteFile(ca, authority(t).PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Write(dir, true); err == nil || !strings.Contains(err.Error(), "another authority") {
		t.Errorf("another authority's certificate: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 { // CA, its key, the node's certificate
		t.Errorf("%v, %v; %s", left, err, cert)
	}
}

func TestWrongHostsAndNamesAreRefused(t *testing.T) {
	a := authority(t)
	for _, tc := range []struct {
		name  string
		hosts []string
		valid time.Duration
		ok    bool
	}{
		{"node1", []string{"db1"}, year, true},
		{"node1", []string{"*.example.com", "[::1]"}, year, true},
		{"", []string{"a"}, year, false},
		{"a/b", []string{"a"}, year, false},
		{"CA", []string{"a"}, year, false},
		{"node1", nil, year, false},
		{"node1", []string{""}, year, false},
		{"node1", []string{"a:1"}, year, false},
		{"node1", []string{"a b"}, year, false},
		{"node1", []string{"a"}, 11 * year, false},
	} {
		if _, err := a.NewNode(tc.name, tc.hosts, time.Now(), tc.valid); (err == nil) != tc.ok {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func TestAnAuthorityThatIsNoneIsRefused(t *testing.T) {
	a, b := authority(t), authority(t)
	dir := t.TempDir()
	if err := a.Write(dir, false); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	certText, keyText := read(CAFile), read(CAKeyFile)
	nodeCert, _ := write(t, a, t.TempDir(), "node1")
	node, err := os.ReadFile(nodeCert)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ cert, key []byte }{
		"no certificate":       {nil, keyText},
		"a key in its place":   {keyText, keyText},
		"a node's certificate": {node, keyText},
		"no key":               {certText, nil},
		"a torn key":           {certText, bytes.Replace(keyText, []byte("M"), []byte("N"), 1)},
		"another's key":        {b.PEM(), keyText},
	} {
		if _, err := parseAuthority(tc.cert, tc.key); err == nil || strings.Contains(err.Error(), "MIG") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenAuthority(t.TempDir()); err == nil {
		t.Error("an empty folder is an authority")
	}
}

func TestAPairFollowsItsFiles(t *testing.T) {
	a, dir := authority(t), t.TempDir()
	cert, key := write(t, a, dir, "n", "first")
	pair, err := Open(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	pair.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	serves := func(want string) {
		t.Helper()
		if got := pair.Current().Leaf.DNSNames[0]; got != want {
			t.Fatalf("the pair serves %q, want %q", got, want)
		}
	}
	told := func(want int, text string) {
		t.Helper()
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("%q is told %d times, want %d:\n%s", text, got, want, log.String())
		}
	}
	serves("first")
	write(t, a, dir, "n", "second")
	serves("second")
	told(1, "renewed")
	serves("second")
	told(1, "renewed")

	whole, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range [][]byte{whole[:len(whole)/2], nil, whole[:len(whole)/3]} {
		if err := os.WriteFile(cert, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		serves("second")
		serves("second")
	}
	told(1, "cannot be used")
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	serves("second")
	serves("second")
	told(2, "cannot be used")
	write(t, a, dir, "n", "third")
	serves("third")
	told(2, "renewed")
	// A pair of which one half is new is no pair.
	otherCert, _ := write(t, a, t.TempDir(), "n", "fourth")
	if err := os.Rename(otherCert, cert); err != nil {
		t.Fatal(err)
	}
	serves("third")
	told(3, "cannot be used")
	if strings.Contains(log.String(), "MIG") {
		t.Error("the log holds a key")
	}
}

// While the files are old enough for their times to be relied upon, they are not
// read: a change that leaves size and time as they were is seen in young ones only.
func TestUnchangedFilesAreNotRead(t *testing.T) {
	for _, young := range []bool{false, true} {
		cert, key := write(t, authority(t), t.TempDir(), "n", "first")
		changed := time.Now()
		if !young {
			changed = changed.Add(-time.Hour)
		}
		touch := func() {
			t.Helper()
			for _, path := range []string{cert, key} {
				if err := os.Chtimes(path, changed, changed); err != nil {
					t.Fatal(err)
				}
			}
		}
		touch()
		pair, err := Open(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		first := pair.Current()
		raw, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cert, bytes.Repeat([]byte("x"), len(raw)), 0o600); err != nil {
			t.Fatal(err)
		}
		touch()
		if pair.Current() != first || (pair.failure != "") != young {
			t.Errorf("young %t: read again: %q", young, pair.failure)
		}
	}
}

func TestOpenAndReadPoolSayWhatIsWrong(t *testing.T) {
	a := authority(t)
	cert, key := write(t, a, t.TempDir(), "a")
	_, other := write(t, a, t.TempDir(), "b")
	for name, tc := range map[string]struct{ cert, key, want string }{
		"no file":        {cert + "x", key, cert + "x"},
		"no key":         {cert, key + "x", key + "x"},
		"another's key":  {cert, other, other},
		"swapped":        {key, cert, key},
		"a folder":       {filepath.Dir(cert), key, filepath.Dir(cert)},
		"the file twice": {cert, cert, cert},
	} {
		if _, err := Open(tc.cert, tc.key); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	for _, path := range []string{key, cert + "x"} {
		if _, err := ReadPool(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s as CA: %v", path, err)
		}
	}
}

// Whatever is in the files, it is a pair or an error that shows no key.
func FuzzFiles(f *testing.F) {
	a := authority(f)
	cert, key := write(f, a, f.TempDir(), "a")
	certText, err := os.ReadFile(cert)
	if err != nil {
		f.Fatal(err)
	}
	keyText, err := os.ReadFile(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(certText, keyText)
	f.Add(a.PEM(), keyText)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), []byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		if a, err := parseAuthority(cert, key); err == nil {
			if _, err := a.NewNode("n", []string{"a"}, time.Now(), time.Hour); err != nil && a.Expiry().After(time.Now().Add(2*time.Hour)) {
				t.Errorf("an authority that was read cannot sign: %v", err)
			}
		}
		certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
		if err := errors.Join(os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
			t.Fatal(err)
		}
		if pair, err := Open(certFile, keyFile); err == nil {
			if _, err := tls.X509KeyPair(cert, key); err != nil || pair.Current().Leaf == nil {
				t.Errorf("%v, leaf %v", err, pair.Current().Leaf)
			}
		}
		_, _ = ReadPool(certFile)
	})
}
