package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/sync/gossip"
)

// PrepareStop makes the node not ready and hands its leadership to another
// voter, while requests are still served: those under way are forwarded to the
// new leader. Call it before the HTTP server drains.
func (n *Node) PrepareStop(ctx context.Context) {
	n.stopping.Store(true)
	if !n.leads() {
		return
	}
	heir, found := n.heir()
	if !found {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ElectionTimeout) // raft's own bound, if its main loop does not hang with the disk
	defer cancel()
	ctx, unguard := n.disk.guard(ctx)
	defer unguard()
	began := time.Now()
	err := await(ctx, n.raft.LeadershipTransferToServer(heir.ID, heir.Address))
	if err != nil {
		n.log.Warn("leadership was not handed over; the others elect a leader when this node is gone", "error", err)
		return
	}
	for changed := n.leaderWatch.changed(); n.leads() && leaderNews(ctx, changed); {
		changed = n.leaderWatch.changed()
	}
	n.log.Info("leadership handed over", "took", time.Since(began).Round(time.Millisecond).String())
}

// heir is the voter that should lead after this node: alive, its disk not in
// trouble, if possible with space on it, and further along than the others of
// that kind.
func (n *Node) heir() (heir raft.Server, found bool) {
	seen, disk, best := n.seen(), gossip.DiskOK, uint64(0)
	for _, peer := range n.tracker.Status().Peers { // the live ones
		server, member := n.server(peer.NodeID)
		has := seen[peer.NodeID].Disk
		if !member || server.Suffrage != raft.Voter || has >= gossip.DiskUnavailable {
			continue
		}
		if !found || has < disk || has == disk && peer.Index > best {
			heir, disk, best, found = server, has, peer.Index, true
		}
	}
	return heir, found
}

// Stop ends the node: leadership is handed over, waiting writes are finished,
// the gossip is left, and everything is closed. The raft configuration is not
// touched: the node comes back as the member that it was. ctx bounds the
// graceful part; what is closed is closed in any case.
func (n *Node) Stop(ctx context.Context) error {
	n.stopOnce.Do(func() {
		n.PrepareStop(ctx)
		n.stopErr = n.close()
		n.log.Info("stopped")
	})
	return n.stopErr
}

// close ends whatever was started, from the outside inwards. It also serves a
// node that came up only in part. A disk that hangs may hold up all but the first
// steps for ever: what it holds up is left to the end of the process.
func (n *Node) close() error {
	var err error
	if n.batcher != nil {
		n.batcher.close()
	}
	if n.gossip != nil {
		n.gossip.Leave(time.Second)
		if err = n.gossip.Shutdown(); err != nil {
			err = fmt.Errorf("stop the gossip: %w", err)
		}
	}
	n.cancel()
	rest := make(chan error, 1)
	go func() { rest <- n.closeRest() }()
	return errors.Join(err, n.awaitDisk(rest))
}

// awaitDisk waits for the rest of a stop. Once the disk is in trouble that has a
// bound: for a while trouble may pass, then refused writes are not repeated any
// more, and a while later the rest is left.
func (n *Node) awaitDisk(rest <-chan error) error {
	if n.disk == nil {
		return <-rest
	}
	for {
		well, unguard := n.disk.guard(context.Background())
		select {
		case err := <-rest:
			unguard()
			return err
		case <-well.Done():
			unguard()
		}
		for range 2 {
			select {
			case err := <-rest:
				return err
			case <-time.After(hungStop):
			}
			if n.disk.err() == nil {
				break
			}
			if n.disk.stopped() {
				return fmt.Errorf("stopped without closing the raft log and the state: %w", n.disk.err())
			}
			n.disk.stop()
		}
	}
}

// closeRest ends what may wait for the disk. The disk is watched until all files
// are closed.
func (n *Node) closeRest() error {
	var errs []error
	step := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	if n.raft != nil {
		n.loops.Wait()
		step("stop raft", n.raft.Shutdown().Error())
	}
	if n.reads != nil {
		n.reads.drain()
	}
	if n.raftNet != nil {
		step("stop the raft transport", n.raftNet.Close())
	}
	if n.transport != nil {
		step("stop the transport", n.transport.Close())
	}
	if n.fsm != nil {
		step("close the state", n.fsm.Close())
	}
	if n.logs != nil {
		step("close the raft log", n.logs.Close())
	}
	if n.disk != nil {
		n.disk.stop()
		n.disk.parts.Wait()
	}
	if n.cfg.Registerer != nil && n.batcher != nil {
		n.cfg.Registerer.Unregister(n)
	}
	if n.lock != nil {
		step("unlock the data directory", n.lock.Close())
	}
	return errors.Join(errs...)
}
