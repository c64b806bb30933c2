package node

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrDataDirInUse means that another process holds the data directory.
var ErrDataDirInUse = errors.New("data directory is in use by another process")

var validNodeID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// identity is what a data directory says of the node that it belongs to.
type identity struct {
	NodeID string `json:"node_id"`
	// ClusterID is kept here too, since the state may go back to before it learnt
	// the name when the process is killed.
	ClusterID string `json:"cluster_id,omitempty"`
	// Held says that an operator demoted the node: it stays a non-voter until it
	// is promoted.
	Held bool `json:"held,omitempty"`
}

func (i identity) save(cfg *Config) error {
	raw, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("encode the node's identity: %w", err)
	}
	return writeFileDurably(cfg.identityPath(), append(raw, '\n'))
}

// lockDataDir makes the directory if needed and locks it against other
// processes until the returned lock is closed or the process ends.
func lockDataDir(cfg *Config) (io.Closer, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := vfs.Default.Lock(cfg.lockPath())
	if err != nil {
		return nil, fmt.Errorf("%w: %s (%w): stop that process or give another --data-dir", ErrDataDirInUse, cfg.DataDir, err)
	}
	return lock, nil
}

// resolveIdentity reads who the node is from the data directory, or decides
// and stores it on the first start.
func resolveIdentity(cfg *Config) (identity, error) {
	if cfg.NodeID != "" && !validNodeID.MatchString(cfg.NodeID) {
		return identity{}, badNodeID(cfg.NodeID)
	}
	raw, err := os.ReadFile(cfg.identityPath())
	switch {
	case err == nil:
		var id identity
		if err := json.Unmarshal(raw, &id); err != nil || !validNodeID.MatchString(id.NodeID) {
			return identity{}, fmt.Errorf("%s does not hold a node's identity: restore the file, or give an empty data directory", cfg.identityPath())
		}
		if cfg.NodeID != "" && cfg.NodeID != id.NodeID {
			return identity{}, fmt.Errorf("data directory %s belongs to node %q, not to %q: a node keeps its name; give that name, or an empty data directory", cfg.DataDir, id.NodeID, cfg.NodeID)
		}
		return id, nil
	case !errors.Is(err, fs.ErrNotExist):
		return identity{}, fmt.Errorf("read the node's identity: %w", err)
	}
	name := cfg.NodeID
	if name == "" {
		name = "node-" + randomHex(6)
	}
	id := identity{NodeID: name}
	return id, id.save(cfg)
}

func badNodeID(id string) error {
	return fmt.Errorf("node id %q: use 1 to 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit", id)
}

// randomHex is so many random bytes in hexadecimal: a name that nobody else has.
func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// clusterIDBytes is how long the random name of a cluster is.
const clusterIDBytes = 16

// writeFileDurably replaces a small file so that after a crash either the old
// or the new content is there.
func writeFileDurably(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// identityFile is the identity as it is on disk, changed by one caller at a time.
type identityFile struct {
	mu sync.Mutex
	identity
}

// change stores a changed identity; nothing is written if it is the same.
func (f *identityFile) change(cfg *Config, change func(*identity)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.identity
	change(&next)
	if next == f.identity {
		return nil
	}
	if err := next.save(cfg); err != nil {
		return err
	}
	f.identity = next
	return nil
}

func (f *identityFile) held() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Held
}
