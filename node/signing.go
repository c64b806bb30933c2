package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/stemedb/stemedb/assertion"
)

// A node signs receipts with a key of its own. The seed lies in the data
// directory and never leaves it; the public key is written to the log when the
// node has joined, so that whoever holds the cluster's list of keys can check a
// receipt without any node.

// signingKey reads the node's key, or makes it on the first start.
func signingKey(cfg *Config) (ed25519.PrivateKey, error) {
	path := cfg.keyPath()
	raw, err := os.ReadFile(path)
	switch {
	case err == nil:
		seed, err := hex.DecodeString(strings.TrimSpace(string(raw)))
		if err != nil || len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("%s does not hold a signing key: restore the file, or remove it to have a new key made", path)
		}
		return ed25519.NewKeyFromSeed(seed), nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), writeFileDurably(path, append(hex.AppendEncode(nil, seed), '\n'))
}

// Sign signs a message with the node's key and names the key.
func (n *Node) Sign(message []byte) (key assertion.AgentID, signature assertion.SignatureBytes) {
	return assertion.AgentOf(n.key), assertion.SignatureBytes(ed25519.Sign(n.key, message))
}

// registerKey writes the node's public key to the log, unless it is there.
func (n *Node) registerKey() {
	own := n.nodeKey()
	for pause := routeRetry; ; pause = min(2*pause, time.Second) {
		registered, err := n.keyRegistered()
		if err == nil && registered {
			return
		}
		if err == nil && n.recovered.Load() && n.ClusterID() != "" {
			ctx, cancel := context.WithTimeout(n.ctx, n.cfg.WriteTimeout)
			_, err = n.Write(ctx, Caller{}, own)
			cancel()
			if err == nil {
				n.log.Info("registered the key for receipts", "key", own.Key)
				return
			}
		}
		if err != nil && !errors.Is(err, ErrNoLeader) && n.ctx.Err() == nil {
			n.log.Warn("the key for receipts is not registered yet", "error", err)
		}
		select {
		case <-time.After(pause):
		case <-n.ctx.Done():
			return
		}
	}
}

// nodeKey is the entry that registers the node's key.
func (n *Node) nodeKey() *assertion.NodeKey {
	return &assertion.NodeKey{NodeID: n.id, Key: assertion.AgentOf(n.key)}
}

// keyRegistered reports whether the node's key is the newest of its name in the log.
func (n *Node) keyRegistered() (bool, error) {
	view, err := n.fsm.View()
	if err != nil {
		return false, err
	}
	defer view.Close()
	keys, err := view.NodeKeys()
	own, registered := n.nodeKey(), false
	for _, k := range keys {
		if k.Entry.NodeID == own.NodeID { // the newest of a node comes last
			registered = *k.Entry == *own
		}
	}
	return registered, err
}
