package node

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/hashicorp/raft"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/internal/tracing"
	"github.com/stemedb/stemedb/transport"
)

// rpcHandler answers the other nodes.
type rpcHandler struct{ n *Node }

var _ transport.Handler = rpcHandler{}

// Hello implements transport.Handler.
func (h rpcHandler) Hello(_ context.Context, req transport.HelloRequest) (transport.HelloResponse, error) {
	n := h.n
	leader, id := n.raft.LeaderWithID()
	config, member := n.committedConfig(req.NodeID)
	return transport.HelloResponse{
		NodeID: n.id, ClusterID: n.ClusterID(), ClusterAddr: n.address, GossipAddr: n.gossip.Addr(),
		HTTPAddr: n.cfg.HTTPAdvertise, HasState: n.hasState(), LeaderAddr: string(leader), LeaderID: string(id),
		RaftState: n.raft.State().String(), CommandFormat: fsm.FormatVersion, Version: n.cfg.Version,
		NonVoter: n.nonVoter(), ConfigIndex: config, Member: member,
		LastLog: n.raft.LastIndex(), LeaderSilence: uint32(min(n.leaderSilence().Milliseconds(), math.MaxUint32)),
	}, nil
}

// Forward implements transport.Handler: it writes claims that another node has
// verified, through this leader's own group commit.
func (h rpcHandler) Forward(ctx context.Context, req transport.ForwardRequest) (transport.ForwardResponse, error) {
	n := h.n
	if err := n.sameCluster(req.ClusterID); err != nil {
		return transport.ForwardResponse{}, err
	}
	if n.raft.State() != raft.Leader {
		return transport.ForwardResponse{}, n.notLeader()
	}
	var caller Caller
	if len(req.Callers) > 0 {
		caller = req.Callers[0]
	}
	served := n.serving("serve forwarded write", func(yield func(string) bool) {
		for _, c := range req.Callers {
			if !yield(c.TraceParent) {
				return
			}
		}
	})
	for _, c := range req.Callers {
		log := ctx
		if parent, ok := tracing.ParseParent(c.TraceParent); ok {
			log = trace.ContextWithRemoteSpanContext(ctx, parent)
		}
		n.log.DebugContext(log, "forwarded write", "request_id", c.RequestID, "agent", c.AgentID, "remote", c.RemoteAddr)
	}
	result, err := n.submit(ctx, caller, served.contexts(), req.Records)
	served.end(err)
	if err != nil {
		return transport.ForwardResponse{}, wireError(err)
	}
	return transport.ForwardResponse{Index: result.Index, Results: toWire(result.Results)}, nil
}

// ReadIndex implements transport.Handler.
func (h rpcHandler) ReadIndex(ctx context.Context, req transport.ReadIndexRequest) (transport.ReadIndexResponse, error) {
	n := h.n
	if err := n.sameCluster(req.ClusterID); err != nil {
		return transport.ReadIndexResponse{}, err
	}
	if n.raft.State() != raft.Leader {
		return transport.ReadIndexResponse{}, n.notLeader()
	}
	served := n.serving("serve read index", func(yield func(string) bool) { yield(req.TraceParent) })
	if parents := served.contexts(); len(parents) > 0 {
		ctx = trace.ContextWithSpanContext(ctx, parents[0])
	}
	at, witnessed := n.witnessedReadIndex(raft.ServerID(req.NodeID), req.Term)
	var err error
	if !witnessed {
		at, err = n.reads.wait(ctx)
	}
	served.end(err)
	if err != nil {
		return transport.ReadIndexResponse{}, wireError(err)
	}
	return transport.ReadIndexResponse{Index: at}, nil
}

// Term implements transport.Handler.
func (h rpcHandler) Term(_ context.Context, req transport.TermRequest) (transport.TermResponse, error) {
	n := h.n
	if err := n.sameCluster(req.ClusterID); err != nil {
		return transport.TermResponse{}, err
	}
	if req.NodeID != n.id {
		return transport.TermResponse{}, fmt.Errorf("%w: this is node %s, not %s", transport.ErrRefused, n.id, req.NodeID)
	}
	return transport.TermResponse{Term: n.raft.CurrentTerm()}, nil
}

// Join implements transport.Handler: a newcomer becomes a non-voter; a node at a
// new address is corrected. Repeating it changes nothing.
func (h rpcHandler) Join(ctx context.Context, req transport.JoinRequest) (transport.JoinResponse, error) {
	n := h.n
	if err := n.sameCluster(req.ClusterID); err != nil {
		return transport.JoinResponse{}, err
	}
	if n.raft.State() != raft.Leader {
		return transport.JoinResponse{}, n.notLeader()
	}
	unlock, format, err := n.lockFormat(ctx)
	if err != nil {
		return transport.JoinResponse{}, wireError(err)
	}
	defer unlock()
	if req.CommandFormat < format {
		return transport.JoinResponse{}, fmt.Errorf("%w: node %s understands command format %d, this cluster writes %d: start it with a newer version", transport.ErrRefused, req.NodeID, req.CommandFormat, format)
	}
	if _, member := n.server(req.NodeID); !member && req.ClusterID != "" {
		return transport.JoinResponse{}, fmt.Errorf("%w: node %s has data of this cluster and is no member: it was removed; to add it anew, give it an empty data directory", transport.ErrRefused, req.NodeID)
	}
	index, _, err := n.addServer(ctx, req.NodeID, req.ClusterAddr)
	switch {
	case errors.Is(err, ErrNoLeader):
		return transport.JoinResponse{}, n.notLeader()
	case errors.Is(err, ErrOutcomeUnknown):
		return transport.JoinResponse{}, wireError(err)
	case err != nil:
		return transport.JoinResponse{}, fmt.Errorf("%w: %w", transport.ErrRefused, err)
	}
	return transport.JoinResponse{ClusterID: n.ClusterID(), Index: index}, nil
}

// Member implements transport.Handler.
func (h rpcHandler) Member(ctx context.Context, req transport.MemberRequest) (transport.MemberResponse, error) {
	if err := h.n.sameCluster(req.ClusterID); err != nil {
		return transport.MemberResponse{}, err
	}
	response, err := h.n.act(ctx, req)
	if refusal := refusalOf(err); refusal != "" {
		return transport.MemberResponse{Refusal: refusal, Detail: err.Error()}, nil
	}
	if err != nil {
		return transport.MemberResponse{}, wireError(err)
	}
	return response, nil
}

// Grant implements transport.Handler: it promises this node to a proposer (see
// promise).
func (h rpcHandler) Grant(_ context.Context, req transport.GrantRequest) (transport.GrantResponse, error) {
	n := h.n
	switch {
	case req.Member != n.id:
		return transport.GrantResponse{}, fmt.Errorf("%w: this is node %s, not %s", transport.ErrRefused, n.id, req.Member)
	case n.hasState():
		return transport.GrantResponse{}, fmt.Errorf("%w: node %s belongs to a cluster already", transport.ErrRefused, n.id)
	}
	if err := n.leftToRestore(); err != nil {
		return transport.GrantResponse{}, fmt.Errorf("%w: node %s: %w", transport.ErrRefused, n.id, err)
	}
	if holder, ok := n.promised.give(req.Proposer, n.cfg.Now()); !ok {
		return transport.GrantResponse{}, fmt.Errorf("%w: node %s is promised to %s", transport.ErrRefused, n.id, holder)
	}
	return transport.GrantResponse{}, nil
}

// sameCluster refuses a node of another cluster. One of the two may not have
// a cluster yet.
func (n *Node) sameCluster(id string) error {
	if own := n.ClusterID(); own != "" && id != "" && id != own {
		return fmt.Errorf("%w: this node belongs to cluster %s, the request to %s", transport.ErrWrongCluster, own, id)
	}
	return nil
}

func (n *Node) notLeader() error {
	_, id := n.raft.LeaderWithID()
	return fmt.Errorf("%w: node %s does not lead (it follows %q)", transport.ErrNotLeader, n.id, id)
}

// wireError translates this node's errors into the transport's, so that the
// asking node knows what may be repeated.
func wireError(err error) error {
	switch {
	case errors.Is(err, ErrOutcomeUnknown): // first: it may wrap one of the others
		return fmt.Errorf("%w: %w", transport.ErrOutcomeUnknown, err)
	case errors.Is(err, ErrOverloaded):
		return fmt.Errorf("%w: %w", transport.ErrOverloaded, err)
	case errors.Is(err, ErrDiskSpace):
		return fmt.Errorf("%w: %w", transport.ErrNoSpace, err)
	case errors.Is(err, ErrNoLeader), errors.Is(err, ErrStopping), errors.Is(err, ErrDisk):
		return fmt.Errorf("%w: %w", transport.ErrNotLeader, err)
	default:
		return err
	}
}

func toWire(results []fsm.Result) []transport.ForwardResult {
	out := make([]transport.ForwardResult, len(results))
	for i, r := range results {
		out[i] = transport.ForwardResult{Outcome: uint8(r.Outcome), Hash: r.Hash}
	}
	return out
}

func fromWire(results []transport.ForwardResult) []fsm.Result {
	out := make([]fsm.Result, len(results))
	for i, r := range results {
		out[i] = fsm.Result{Outcome: index.Outcome(r.Outcome), Hash: r.Hash}
	}
	return out
}
