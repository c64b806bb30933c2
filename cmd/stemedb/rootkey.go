package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/node"
)

// rootKeyRetry is the pause before the root key is tried again, for example
// while there is no leader.
const rootKeyRetry = 250 * time.Millisecond

// ensureRootKey makes the cluster's first admin key in the background, if the
// settings give its secret and the cluster has no key named root. Of nodes that
// try at once, one makes it: the log takes one first revision of an id. The
// function that it returns ends the attempt.
func (p *process) ensureRootKey(ctx context.Context, n *node.Node) (stop func()) {
	if p.settings.RootAPIKey == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			made, err := makeRootKey(ctx, n, p.settings.RootAPIKey)
			if err == nil {
				p.log.Info("the root API key is there", "key", auth.RootID, "made_here", made)
				return
			}
			p.log.Debug("the root API key cannot be made yet", "error", err)
			pause := time.NewTimer(rootKeyRetry)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func makeRootKey(ctx context.Context, n *node.Node, secret string) (made bool, err error) {
	view, err := n.Read(ctx, node.Consistency{})
	if err != nil {
		return false, err
	}
	keys, err := view.APIKeys()
	if closing := view.Close(); err == nil {
		err = closing
	}
	if err != nil || slices.ContainsFunc(keys, func(k *assertion.APIKey) bool { return k.ID == auth.RootID }) {
		return false, err
	}
	result, err := n.Write(ctx, node.Caller{}, &assertion.APIKey{
		ID: auth.RootID, Revision: 1, Name: "made from STEMEDB_ROOT_API_KEY", Role: assertion.RoleAdmin,
		Secret: auth.HashSecret(secret), CreatedAt: uint64(max(time.Now().Unix(), 0)),
	})
	return err == nil && result.Results[0].Outcome == index.Created, err
}
