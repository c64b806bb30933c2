package client

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
)

const (
	keyFileSuffix = ".pem"
	// nameRemark begins the line of a key file that holds the name, quoted as in
	// Go; file names keep too little of it to tell whose key one is.
	nameRemark = "Name: "
)

// Keyring is a folder with one key for each name: a source, an author. It is
// safe for concurrent use, by several processes too.
type Keyring struct{ dir string }

// OpenKeyring opens or makes the folder.
func OpenKeyring(dir string) (*Keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the keyring: %w", err)
	}
	return &Keyring{dir: dir}, nil
}

// Path is the file of a name's key. Any text can be a name: what is not a
// letter or digit is replaced, and a hash keeps different names apart.
func (k *Keyring) Path(name string) string {
	slug := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	const longest = 40
	sum := blake3.Sum256([]byte(name))
	return filepath.Join(k.dir, slug[:min(len(slug), longest)]+"-"+hex.EncodeToString(sum[:8])+keyFileSuffix)
}

// Key returns the key of a name; it is made at the first call and stays.
func (k *Keyring) Key(name string) (ed25519.PrivateKey, error) {
	path := k.Path(name)
	key, err := LoadKey(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	fresh, err := GenerateKey()
	if err != nil {
		return nil, err
	}
	remark := nameRemark + strconv.QuoteToASCII(name) + "\n"
	if err := saveKey(path, fresh, remark); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return LoadKey(path) // somebody else may have made it first
}

// KeyringEntry is one key of a keyring.
type KeyringEntry struct {
	// Name is whose key it is; empty for a file that no keyring made.
	Name    string            `json:"name"`
	AgentID assertion.AgentID `json:"agent_id"`
	Path    string            `json:"file"`
}

// List returns every key of the folder, by name.
func (k *Keyring) List() ([]KeyringEntry, error) {
	files, err := os.ReadDir(k.dir)
	if err != nil {
		return nil, fmt.Errorf("list the keyring: %w", err)
	}
	entries := []KeyringEntry{}
	for _, f := range files {
		if f.IsDir() || filepath.Ext(f.Name()) != keyFileSuffix {
			continue
		}
		path := filepath.Join(k.dir, f.Name())
		key, remark, err := loadKey(path)
		if err != nil {
			return nil, err
		}
		entries = append(entries, KeyringEntry{Name: nameIn(remark), AgentID: assertion.AgentOf(key), Path: path})
	}
	slices.SortFunc(entries, func(a, b KeyringEntry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path))
	})
	return entries, nil
}

func nameIn(remark string) string {
	line, _, _ := strings.Cut(remark, "\n")
	quoted, ok := strings.CutPrefix(line, nameRemark)
	if !ok {
		return ""
	}
	name, err := strconv.Unquote(quoted)
	if err != nil {
		return ""
	}
	return name
}

// SourceHash is the source_hash of a source that is known by name only:
// BLAKE3-256 of the name.
func SourceHash(name string) assertion.Hash { return blake3.Sum256([]byte(name)) }
