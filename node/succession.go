package node

import (
	"context"
	"errors"
	"sync"
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
			if ctx.Err() == nil && !errors.Is(err, transport.ErrUnreachable) && n.disk.err() == nil {
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
// ended, unless the leader turns out to live, another node takes over, or another
// one should. ctx ends with the leader's successor.
func (n *Node) standIn(ctx context.Context, leader raft.Server, cause error) {
	silence := n.silence()
	deadline := time.After(n.cfg.HeartbeatTimeout) // from there on raft sees to it
	for {
		select {
		case <-time.After(silence):
		case <-deadline:
			return
		case <-ctx.Done():
			return
		}
		if n.disk.err() != nil || n.stopping.Load() || n.raft.State() != raft.Follower || n.leaderSilence() < silence {
			return // this node is not to lead, or it was the connection that broke, not the leader
		}
		own := candidate{id: n.id, last: n.raft.LastIndex(), silent: true}
		others, lives := n.survey(ctx, leader)
		switch shouldStand(own, others, lives, n.servers()) {
		case yes:
			n.campaign(leader, cause)
			return
		case no:
			return
		case later: // the better candidate may be gone as well
		}
	}
}

// silence is how long a follower hears nothing of a leader that has ended before it
// acts: raft's heartbeats come at least every fifth of the timeout.
func (n *Node) silence() time.Duration { return 3 * n.cfg.HeartbeatTimeout / 10 }

// leaderSilence is for how long this node has heard nothing of a leader.
func (n *Node) leaderSilence() time.Duration {
	if n.leads() {
		return 0
	}
	return time.Since(n.raft.LastContact())
}

// candidate is what a voter says when the leader has ended.
type candidate struct {
	id     string
	last   uint64 // index of its log
	silent bool   // it does not hear the leader either
}

// survey asks the other voters, and whether the leader's process answers after
// all.
func (n *Node) survey(ctx context.Context, leader raft.Server) (others []candidate, lives bool) {
	ctx, cancel := context.WithTimeout(ctx, n.silence())
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, server := range n.servers() {
		if server.Suffrage != raft.Voter || string(server.ID) == n.id {
			continue
		}
		all.Go(func() {
			answer, err := n.client.Hello(ctx, string(server.Address), transport.HelloRequest{NodeID: n.id, ClusterID: n.ClusterID()})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case server.ID == leader.ID:
				// Whatever is not a refused or vanished connection is a process that lives.
				lives = lives || !errors.Is(err, transport.ErrUnreachable) || errors.Is(err, transport.ErrDeaf)
			case err == nil && answer.NodeID == string(server.ID):
				others = append(others, candidate{
					id: answer.NodeID, last: answer.LastLog,
					silent: answer.LeaderID != string(leader.ID) || time.Duration(answer.LeaderSilence)*time.Millisecond >= n.silence(),
				})
			}
		})
	}
	all.Wait()
	return others, lives
}

// decision is whether a node stands for election.
type decision int

const (
	no    decision = iota // somebody hears the leader, or there would be no majority
	later                 // another voter has the longer log, or the same one and the smaller id
	yes
)

// shouldStand decides for the voter own: only if the leader's process does not live,
// a majority of the voters is there that has not heard the leader either, and it is
// the one to lead them.
func shouldStand(own candidate, others []candidate, lives bool, config []raft.Server) decision {
	voters := 0
	voter := false
	for _, server := range config {
		if server.Suffrage == raft.Voter {
			voters++
			voter = voter || string(server.ID) == own.id
		}
	}
	if lives || !voter || 1+len(others) <= voters/2 {
		return no
	}
	best := own
	for _, other := range others {
		if !other.silent {
			return no
		}
		if other.last > best.last || other.last == best.last && other.id < best.id {
			best = other
		}
	}
	if best.id != own.id {
		return later
	}
	return yes
}

// campaign makes raft stand for election at once: the message that a leader sends
// to the heir that it chose, from the heir itself.
func (n *Node) campaign(leader raft.Server, cause error) {
	n.log.Info("the leader's process has ended: standing for election", "leader", string(leader.ID), "error", cause)
	self := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.id), Addr: []byte(n.address)}
	if err := n.raftNet.TimeoutNow(raft.ServerID(n.id), raft.ServerAddress(n.address), &raft.TimeoutNowRequest{RPCHeader: self}, &raft.TimeoutNowResponse{}); err != nil {
		n.log.Warn("no election before raft's heartbeat timeout", "error", err)
	}
}
