package client

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// pemType: a key file is an Ed25519 private key in PKCS #8, PEM encoded,
// readable by its owner only: the form that openssl reads and writes. Lines
// before the PEM block are a remark.
const pemType = "PRIVATE KEY"

// GenerateKey makes a new key.
func GenerateKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	return key, nil
}

// SaveKey writes a key to a new file with mode 0600; an existing file is an
// error (fs.ErrExist) and stays.
func SaveKey(path string, key ed25519.PrivateKey) error { return saveKey(path, key, "") }

func saveKey(path string, key ed25519.PrivateKey, remark string) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key: %w", err)
	}
	text := append([]byte(remark), pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})...)
	// Written aside and linked into place: the file appears whole or not at all,
	// and two processes that make it at once agree on one.
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	// A key that signed claims and then is lost cannot sign their transitions.
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	return nil
}

// LoadKey reads a key file.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	key, _, err := loadKey(path)
	return key, err
}

// loadKey returns the remark before the PEM block too.
func loadKey(path string) (ed25519.PrivateKey, string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("read the key: %w", err)
	}
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != pemType {
		return nil, "", fmt.Errorf("%s holds no PEM block %q: make a key with `stemectl keys generate`", path, pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, "", fmt.Errorf("%s holds a %T, not an Ed25519 key", path, parsed)
	}
	return key, string(raw[:len(raw)-len(rest)]), nil
}
