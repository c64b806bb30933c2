package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/transport"
)

// promiseTTL is how long a node keeps its promise to a proposer. A proposer
// bootstraps only in the first half of it, so that no promise can have ended.
const promiseTTL = 30 * time.Second

// promise is what makes two bootstraps with a common member impossible: a
// stateless node promises itself to one proposer at a time, and a proposer
// needs the promise of every member of the configuration that it writes.
type promise struct {
	mu       sync.Mutex
	proposer string
	until    time.Time
}

// give promises this node to a proposer, unless it is promised to another one.
func (p *promise) give(proposer string, now time.Time) (holder string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proposer != "" && p.proposer != proposer && now.Before(p.until) {
		return p.proposer, false
	}
	p.proposer, p.until = proposer, now.Add(promiseTTL)
	return proposer, true
}

// release ends the promise if proposer holds it.
func (p *promise) release(proposer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proposer == proposer {
		p.proposer = ""
	}
}

// bootstrap forms a new cluster if this node is the one to do it: enough nodes
// see each other, none has state, this one has the smallest name among them,
// and every one of them promises itself.
func (n *Node) bootstrap(peers []peer) error {
	if err := n.leftToRestore(); err != nil {
		return fmt.Errorf("no cluster was found at %v: waiting for one (%w)", n.cfg.Join, err)
	}
	if n.cfg.BootstrapExpect == 0 {
		return fmt.Errorf("no cluster was found at %v: waiting for one (bootstrap-expect is 0)", n.cfg.Join)
	}
	if n.nonVoter() {
		return fmt.Errorf("no cluster was found at %v: waiting for one (a non-voter forms none)", n.cfg.Join)
	}
	members := []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(n.id), Address: raft.ServerAddress(n.address)}}
	for _, p := range peers {
		if p.NonVoter {
			continue
		}
		members = append(members, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(p.NodeID), Address: raft.ServerAddress(p.ClusterAddr)})
	}
	if len(members) < n.cfg.BootstrapExpect {
		return fmt.Errorf("%d of the %d nodes that are to form the cluster see each other: waiting for the others", len(members), n.cfg.BootstrapExpect)
	}
	slices.SortFunc(members, func(a, b raft.Server) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	members = members[:n.cfg.BootstrapExpect]
	if string(members[0].ID) != n.id {
		return nil // another node's turn
	}
	return n.formCluster(members, peers)
}

// leftToRestore says why this node has no part in forming an empty cluster: a node is
// to found it with a backup. nil if none is.
func (n *Node) leftToRestore() error {
	if n.cfg.RestoreFrom == "" {
		return nil
	}
	return fmt.Errorf("restore-from is set: only the first start of node %s, with an empty data directory, forms one, by restoring %s", cmp.Or(n.cfg.RestoreNode, n.id), n.cfg.RestoreFrom)
}

func (n *Node) formCluster(members []raft.Server, peers []peer) error {
	began := n.cfg.Now()
	if holder, ok := n.promised.give(n.id, began); !ok {
		return fmt.Errorf("this node is promised to %s, which is forming the cluster", holder)
	}
	ctx, cancel := context.WithTimeout(n.ctx, promiseTTL/3)
	defer cancel()
	for _, member := range members[1:] {
		at := slices.IndexFunc(peers, func(p peer) bool { return p.NodeID == string(member.ID) })
		_, err := n.client.Grant(ctx, peers[at].address, transport.GrantRequest{Proposer: n.id, Member: string(member.ID)})
		if err != nil {
			n.promised.release(n.id)
			return fmt.Errorf("node %s does not promise itself: %w", member.ID, err)
		}
	}
	if n.cfg.Now().Sub(began) > promiseTTL/2 {
		n.promised.release(n.id)
		return fmt.Errorf("the other nodes took longer than %v to promise themselves", promiseTTL/2)
	}
	if err := n.raft.BootstrapCluster(raft.Configuration{Servers: members}).Error(); err != nil {
		return fmt.Errorf("bootstrap the cluster: %w", err)
	}
	n.log.Info("bootstrapped a new cluster", "members", members)
	return n.electFirst()
}

// electFirst makes raft look at once whether it has heard a leader, of whom there is
// none yet: it looks when its heartbeat timeout becomes shorter.
func (n *Node) electFirst() error {
	conf := n.raft.ReloadableConfig()
	longer := conf
	longer.HeartbeatTimeout++
	longer.ElectionTimeout++
	if err := errors.Join(n.raft.ReloadConfig(longer), n.raft.ReloadConfig(conf)); err != nil {
		return fmt.Errorf("elect a first leader: %w", err)
	}
	return nil
}
