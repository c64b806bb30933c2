package node

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"github.com/stemedb/stemedb/sync/gossip"
	"github.com/stemedb/stemedb/transport"
)

// autopilotInterval bounds how long the leader takes to notice that a non-voter
// has become stable; with a shorter stabilization time it looks more often.
const autopilotInterval = time.Second

// readReplica is the type of a member that never becomes a voter.
const readReplica autopilot.NodeType = "read-replica"

// pilot tells raft-autopilot what this leader knows, for one term, and decides
// with it. A member is dead from when gossip lost it on, and not longer than this
// node leads: a new leader has not watched it before.
type pilot struct {
	autopilot.StablePromoter
	n     *Node
	began time.Time
	run   *autopilot.Autopilot
}

// runAutopilot promotes and removes members for as long as ctx lasts, which is
// that of a term.
func (n *Node) runAutopilot(ctx context.Context) {
	if ctx.Err() != nil || !n.leads() {
		return
	}
	p := &pilot{n: n, began: time.Now()}
	interval := min(autopilotInterval, n.cfg.Stabilization/4)
	p.run = autopilot.New(n.raft, p, autopilot.WithPromoter(p), autopilot.WithLogger(raftLogger(n.log)),
		autopilot.WithUpdateInterval(interval), autopilot.WithReconcileInterval(interval))
	p.run.Start(ctx)
	n.pilot.Store(p)
	<-ctx.Done()
	n.pilot.CompareAndSwap(p, nil)
	<-p.run.Stop()
}

// AutopilotConfig implements autopilot.ApplicationIntegration.
func (p *pilot) AutopilotConfig() *autopilot.Config {
	return &autopilot.Config{
		CleanupDeadServers: p.n.cfg.DeadAfter > 0, LastContactThreshold: p.n.contactLimit(), MaxTrailingLogs: promotionLag,
		MinQuorum: uint(p.n.cfg.MinQuorum), ServerStabilizationTime: p.n.cfg.Stabilization,
	}
}

// NotifyState implements autopilot.ApplicationIntegration; the state is read
// where it is asked for.
func (p *pilot) NotifyState(*autopilot.State) {}

// FetchServerStats implements autopilot.ApplicationIntegration by the reports
// that arrive anyway.
func (p *pilot) FetchServerStats(_ context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	stats := map[raft.ServerID]*autopilot.ServerStats{}
	heard := p.n.reports()
	for id := range servers {
		if string(id) == p.n.id {
			stats[id] = &autopilot.ServerStats{LastTerm: p.n.raft.CurrentTerm(), LastIndex: p.n.raft.LastIndex()}
		} else if r, ok := heard[string(id)]; ok {
			stats[id] = &autopilot.ServerStats{LastContact: r.age, LastTerm: r.term, LastIndex: r.index}
		}
	}
	return stats
}

// KnownServers implements autopilot.ApplicationIntegration: all members, so that
// none is taken for one that the node does not know.
func (p *pilot) KnownServers() map[raft.ServerID]*autopilot.Server {
	seen, heard := p.n.seen(), p.n.reports()
	known := map[raft.ServerID]*autopilot.Server{}
	for _, s := range p.n.servers() {
		id := string(s.ID)
		status := autopilot.NodeFailed
		switch {
		case p.n.answers(id, seen, heard):
			status = autopilot.NodeAlive
		case seen[id].State == gossip.Left:
			status = autopilot.NodeLeft
		}
		known[s.ID] = &autopilot.Server{
			ID: s.ID, Name: id, Address: s.Address, NodeStatus: status, NodeType: p.nodeType(id, seen), Version: seen[id].Version,
			RaftVersion: int(raft.ProtocolVersionMax), IsLeader: id == p.n.id,
		}
	}
	return known
}

func (p *pilot) nodeType(id string, seen map[string]gossip.Member) autopilot.NodeType {
	says := seen[id].NonVoter
	if id == p.n.id {
		says = p.n.nonVoter()
	}
	if p.n.holds.override(id, says) {
		return readReplica
	}
	return autopilot.NodeVoter
}

// GetNodeTypes implements autopilot.Promoter.
func (p *pilot) GetNodeTypes(_ *autopilot.Config, s *autopilot.State) map[raft.ServerID]autopilot.NodeType {
	seen, types := p.n.seen(), map[raft.ServerID]autopilot.NodeType{}
	for id := range s.Servers {
		types[id] = p.nodeType(string(id), seen)
	}
	return types
}

// CalculatePromotionsAndDemotions implements autopilot.Promoter: a non-voter that
// has been healthy for the stabilization time, with space on its disk, becomes a voter, also right after
// an election, where the library would not wait. A voter that was started as a
// non-voter becomes one, if the rest keeps a quorum.
func (p *pilot) CalculatePromotionsAndDemotions(c *autopilot.Config, s *autopilot.State) (changes autopilot.RaftChanges) {
	now, members, seen := time.Now(), p.n.standings(), p.n.seen()
	for id, server := range s.Servers {
		replica := server.Server.NodeType == readReplica
		switch {
		case server.State == autopilot.RaftNonVoter && !replica && seen[string(id)].Disk == gossip.DiskOK && server.Health.IsStable(now, c.ServerStabilizationTime):
			changes.Promotions = append(changes.Promotions, id)
		case server.State == autopilot.RaftVoter && replica && quorumGuard(voting(members, string(id), false), "demoting", false) == nil:
			changes.Demotions = append(changes.Demotions, id)
			members = voting(members, string(id), false)
		}
	}
	return changes
}

// FilterFailedServerRemovals implements autopilot.Promoter: what has been dead
// for long enough. A member that gossip never saw may be removed only by an
// operator.
func (p *pilot) FilterFailedServerRemovals(_ *autopilot.Config, _ *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	seen := p.n.seen()
	long := func(servers []*autopilot.Server) (dead []*autopilot.Server) {
		for _, s := range servers {
			m, known := seen[string(s.ID)]
			since := m.Since
			if since.Before(p.began) {
				since = p.began
			}
			if known && m.State != gossip.Alive && time.Since(since) >= p.n.cfg.DeadAfter {
				dead = append(dead, s)
			}
		}
		return dead
	}
	return &autopilot.FailedServers{FailedNonVoters: long(failed.FailedNonVoters), FailedVoters: long(failed.FailedVoters)}
}

// RemoveFailedServer implements autopilot.ApplicationIntegration. It is called
// from a goroutine that watchLeader waits for, one of the node's loops.
func (p *pilot) RemoveFailedServer(s *autopilot.Server) {
	n := p.n
	n.loops.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.WriteTimeout)
		defer cancel()
		id := string(s.ID)
		if _, err := n.remove(ctx, MemberRequest{Action: transport.ActionRemove, NodeID: id}); err != nil {
			n.log.Warn("a dead node was not removed", "node", id, "error", err)
			return
		}
		n.log.Warn("a dead node was removed from the cluster; if it comes back it must be given an empty data directory", "node", id, "dead_after", n.cfg.DeadAfter.String())
	})
}

// judge is the autopilot's view of the cluster.
func (n *Node) judge() (MemberResponse, error) {
	p := n.pilot.Load()
	if p == nil {
		return MemberResponse{}, fmt.Errorf("%w: the new leader is not at work yet", ErrNoLeader)
	}
	state := p.run.GetState()
	out := &Autopilot{
		Healthy: state.Healthy, FailureTolerance: state.FailureTolerance, Leader: string(state.Leader),
		Stabilization: int64(n.cfg.Stabilization), DeadAfter: int64(n.cfg.DeadAfter), MinQuorum: n.cfg.MinQuorum,
	}
	for _, server := range n.servers() {
		s, ok := state.Servers[server.ID]
		if !ok {
			continue // joined since the last look
		}
		out.Servers = append(out.Servers, transport.AutopilotServer{
			NodeID: string(server.ID), Suffrage: suffrage(server), Status: string(s.Server.NodeStatus), Healthy: s.Health.Healthy,
			NonVoter: s.Server.NodeType == readReplica, StableSince: s.Health.StableSince.Unix(), LastContact: int64(s.Stats.LastContact), LastIndex: s.Stats.LastIndex,
		})
	}
	return MemberResponse{NodeID: n.id, Index: n.fsm.AppliedIndex(), Autopilot: out}, nil
}
