package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/sync/gossip"
	"github.com/stemedb/stemedb/transport"
)

const (
	// DefaultClusterPort is the port of a join address that names none.
	DefaultClusterPort = 18182

	helloTimeout = 2 * time.Second
	// seekInterval is the pause between attempts of a node that is not part of
	// a cluster yet, settledInterval that of one which is.
	seekInterval    = 250 * time.Millisecond
	settledInterval = 5 * time.Second
)

// peer is what another node said of itself at an address.
type peer struct {
	address string
	transport.HelloResponse
}

// discover runs as long as the node does: it finds the other nodes, keeps the
// gossip connected, and brings this node into the raft configuration, by
// joining or, once, by bootstrapping.
func (n *Node) discover() {
	complaints := map[string]string{}
	for {
		peers := n.greet(n.candidates(), complaints)
		n.noteMembership(peers)
		n.connectGossip(peers)
		settled, err := n.enter(peers)
		if err != nil {
			n.complain(complaints, "enter", err)
		}
		pause := seekInterval
		if settled {
			pause = settledInterval
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-n.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// complain logs a trouble once, until it changes.
func (n *Node) complain(seen map[string]string, key string, err error) {
	if text := err.Error(); seen[key] != text {
		seen[key] = text
		n.log.Warn("not yet part of a healthy cluster", "error", err)
	}
}

// candidates are the addresses at which other nodes may be: the configured
// ones, the members of the raft configuration, and what gossip knows.
func (n *Node) candidates() []string {
	found := map[string]bool{}
	for _, join := range n.cfg.Join {
		for _, address := range resolve(n.ctx, join) {
			found[address] = true
		}
	}
	for _, server := range n.servers() {
		found[string(server.Address)] = true
	}
	for _, member := range n.gossip.Members() {
		if member.State == gossip.Alive {
			found[member.ClusterAddr] = true
		}
	}
	delete(found, n.address)
	delete(found, "")
	list := make([]string, 0, len(found))
	for address := range found {
		list = append(list, address)
	}
	sort.Strings(list)
	return list
}

// resolve turns a join entry into addresses: a name stands for every address
// that it resolves to, so that one DNS name can stand for the whole cluster.
func resolve(ctx context.Context, join string) []string {
	host, port, err := net.SplitHostPort(join)
	if err != nil {
		host, port = strings.Trim(join, "[]"), strconv.Itoa(DefaultClusterPort)
	}
	if net.ParseIP(host) != nil {
		return []string{net.JoinHostPort(host, port)}
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(ips) < 2 {
		// One address or none: keep the name, so that later dials resolve anew.
		return []string{net.JoinHostPort(host, port)}
	}
	addresses := make([]string, len(ips))
	for i, ip := range ips {
		addresses[i] = net.JoinHostPort(ip, port)
	}
	return addresses
}

// greet asks every address who is there. Nodes of another cluster, and this
// node itself under another name, are left out.
func (n *Node) greet(addresses []string, complaints map[string]string) []peer {
	ctx, cancel := context.WithTimeout(n.ctx, helloTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	byID := map[string]peer{}
	for _, address := range addresses {
		wg.Go(func() {
			hello, err := n.client.Hello(ctx, address, transport.HelloRequest{NodeID: n.id, ClusterID: n.ClusterID()})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
					n.complain(complaints, address, fmt.Errorf("greet %s: %w", address, err))
				}
			case hello.NodeID == n.id && hello.ClusterAddr != n.address:
				n.complain(complaints, address, fmt.Errorf("the node at %s calls itself %q too: give every node a name of its own", address, n.id))
			case hello.NodeID == n.id:
			case n.ClusterID() != "" && hello.ClusterID != "" && hello.ClusterID != n.ClusterID():
				n.complain(complaints, address, fmt.Errorf("%w: %s at %s belongs to cluster %s, this node to %s: remove it from --join or start it with an empty data directory", transport.ErrWrongCluster, hello.NodeID, address, hello.ClusterID, n.ClusterID()))
			default:
				delete(complaints, address)
				byID[hello.NodeID] = peer{address: address, HelloResponse: hello}
			}
		})
	}
	wg.Wait()
	peers := make([]peer, 0, len(byID))
	for _, p := range byID {
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b peer) int { return strings.Compare(a.NodeID, b.NodeID) })
	return peers
}

// connectGossip joins the gossip of every greeted node that gossip does not
// know as alive.
func (n *Node) connectGossip(peers []peer) {
	alive := map[string]bool{}
	for _, member := range n.gossip.Members() {
		alive[member.NodeID] = member.State == gossip.Alive
	}
	var missing []string
	for _, p := range peers {
		if !alive[p.NodeID] && p.GossipAddr != "" {
			missing = append(missing, p.GossipAddr)
		}
	}
	if len(missing) == 0 {
		return
	}
	if _, err := n.gossip.Join(n.ctx, missing); err != nil && n.ctx.Err() == nil {
		n.log.Debug("gossip join", "addresses", missing, "error", err)
	}
}

// enter makes this node a member at its present address. Whether it becomes a
// voter is for the leader's autopilot. It reports whether nothing is left to do.
func (n *Node) enter(peers []peer) (settled bool, err error) {
	if err := n.removal.err(); err != nil {
		return false, err
	}
	self, member := n.server(n.id)
	switch {
	case member && string(self.Address) == n.address:
		return true, nil
	case member:
		return false, n.askToJoin(peers)
	case n.hasState() && len(n.servers()) > 0:
		if _, leader := n.raft.LeaderWithID(); leader != "" {
			return false, nil // the log that it is catching up with leads to its own entry
		}
		return false, fmt.Errorf("the cluster's configuration, as far as this node has it, does not hold node %q: it was removed, or has not caught up; to add it anew, give it an empty data directory", n.id)
	case n.joined.Load():
		return false, nil // the leader has added it and will make contact
	}
	if slices.ContainsFunc(peers, func(p peer) bool { return p.ClusterID != "" || p.HasState }) {
		return false, n.askToJoin(peers)
	}
	return false, n.bootstrap(peers)
}

// askToJoin asks the leader to add this node, or to correct its address.
func (n *Node) askToJoin(peers []peer) error {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.WriteTimeout)
	defer cancel()
	request := transport.JoinRequest{NodeID: n.id, ClusterAddr: n.address, ClusterID: n.ClusterID(), CommandFormat: fsm.FormatVersion}
	errs := []error{ErrNoLeader}
	for _, p := range peers {
		address := p.LeaderAddr
		if address == "" || address == n.address {
			address = p.address
		}
		response, err := n.client.Join(ctx, address, request)
		if err == nil {
			n.joined.Store(true)
			n.log.Info("the cluster knows this node", "cluster", response.ClusterID, "index", response.Index)
			return nil
		}
		errs = append(errs, fmt.Errorf("join through %s: %w", address, err))
	}
	return errors.Join(errs...)
}

// servers is the newest raft configuration that this node has.
func (n *Node) servers() []raft.Server {
	future := n.raft.GetConfiguration()
	if future.Error() != nil {
		return nil
	}
	return future.Configuration().Servers
}

func (n *Node) server(id string) (raft.Server, bool) {
	for _, server := range n.servers() {
		if string(server.ID) == id {
			return server, true
		}
	}
	return raft.Server{}, false
}

// hasState tells whether the raft log or a snapshot holds anything.
func (n *Node) hasState() bool { return n.raft.LastIndex() > 0 }
