package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/transport"
)

// succeedLeader makes a follower stand for election as soon as the leader's
// process has visibly ended, without waiting for raft's heartbeat timeout, which
// is there for what cannot be seen: a leader that hangs, or is cut off. It holds
// a connection to the leader; the operating system ends that together with the
// process.
func (n *Node) succeedLeader() {
	for n.ctx.Err() == nil {
		changed := n.leaderWatch.changed()
		address, id := n.raft.LeaderWithID()
		if address != "" && string(id) != n.id {
			ctx, done := n.whileLeads(n.ctx, id)
			err := n.client.Watch(ctx, string(address))
			if err != nil && ctx.Err() == nil && !errors.Is(err, transport.ErrUnreachable) {
				n.standIn(ctx, raft.Server{ID: id, Address: address}, err)
			}
			done()
		}
		select {
		case <-changed:
		case <-time.After(n.cfg.HeartbeatTimeout): // raft may have found the old leader again, of which it gives no news
		case <-n.ctx.Done():
		}
	}
}

// standIn makes this node a candidate in place of a leader whose connection has
// ended, unless the leader turns out to live or another node takes over first:
// the voters stand in the order of their ids, one after the other, so that they
// do not split the votes. ctx ends with the leader's successor.
func (n *Node) standIn(ctx context.Context, leader raft.Server, cause error) {
	place, voter := turn(n.servers(), leader.ID, n.id)
	if !voter {
		return
	}
	// Raft's heartbeats come at least every fifth of the timeout.
	silence := 3 * n.cfg.HeartbeatTimeout / 10
	select {
	case <-time.After(silence * time.Duration(1+place)):
	case <-ctx.Done():
		return
	}
	if time.Since(n.raft.LastContact()) < silence {
		return // the connection broke, not the leader
	}
	again, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	if _, err := n.client.Hello(again, string(leader.Address), transport.HelloRequest{NodeID: n.id, ClusterID: n.ClusterID()}); !errors.Is(err, transport.ErrUnreachable) {
		return
	}
	if ctx.Err() != nil || n.raft.State() != raft.Follower || n.stopping.Load() || n.disk.err() != nil {
		return
	}
	n.log.Info("the leader's process has ended: standing for election", "leader", string(leader.ID), "error", cause)
	// What a leader sends to the heir that it chose; here the heir sends it itself.
	self := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.id), Addr: []byte(n.address)}
	if err := n.raftNet.TimeoutNow(raft.ServerID(n.id), raft.ServerAddress(n.address), &raft.TimeoutNowRequest{RPCHeader: self}, &raft.TimeoutNowResponse{}); err != nil {
		n.log.Warn("no election before raft's heartbeat timeout", "error", err)
	}
}

// turn is a node's place among the voters that can follow a leader, from 0;
// false if it is none of them.
func turn(servers []raft.Server, leader raft.ServerID, id string) (place int, voter bool) {
	var heirs []string
	for _, server := range servers {
		if server.Suffrage == raft.Voter && server.ID != leader {
			heirs = append(heirs, string(server.ID))
		}
	}
	slices.Sort(heirs)
	return slices.BinarySearch(heirs, id)
}
