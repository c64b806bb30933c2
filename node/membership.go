package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/sync/gossip"
	"github.com/stemedb/stemedb/transport"
)

// promotionLag is how many entries a non-voter may be behind when it becomes
// a voter.
const promotionLag = 4096

// MemberRequest, MemberResponse and Autopilot travel between the nodes as they
// are.
type (
	MemberRequest  = transport.MemberRequest
	MemberResponse = transport.MemberResponse
	Autopilot      = transport.Autopilot
)

// The refusals of a change by which a node tells another what kind of error it
// was.
const (
	refusedNoMember = "no_member"
	refusedQuorum   = "quorum"
	refusedState    = "state"
)

func refusalOf(err error) string {
	switch {
	case errors.Is(err, ErrNoMember):
		return refusedNoMember
	case errors.Is(err, ErrQuorumAtRisk):
		return refusedQuorum
	case errors.Is(err, ErrMembership):
		return refusedState
	}
	return ""
}

// refusal is an error that another node answered; its text says all.
type refusal struct {
	kind error
	text string
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.kind }

// answered turns the refusal in a response into this node's error.
func answered(response MemberResponse, err error) (MemberResponse, error) {
	if err != nil || response.Refusal == "" {
		return response, err
	}
	kind := ErrMembership
	switch response.Refusal {
	case refusedNoMember:
		kind = ErrNoMember
	case refusedQuorum:
		kind = ErrQuorumAtRisk
	}
	return MemberResponse{}, refusal{kind, response.Detail}
}

// ChangeMembers does an action of transport.Action… wherever it belongs: at the
// leader, or at the node that it is about. Repeating it changes nothing more.
//
// Errors: ErrNoMember, ErrQuorumAtRisk, ErrMembership (a guard refused it; most
// give way to Force), ErrNoLeader, ErrStopping, ErrRemoved, ErrDisk (nothing was
// changed);
// ErrOutcomeUnknown (it may have been).
func (n *Node) ChangeMembers(ctx context.Context, req MemberRequest) (MemberResponse, error) {
	if n.stopping.Load() {
		return MemberResponse{}, ErrStopping
	}
	if err := errors.Join(n.removal.err(), n.disk.err()); err != nil {
		return MemberResponse{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.WriteTimeout)
	defer cancel()
	req.ClusterID = n.ClusterID()
	if req.Action == transport.ActionSnapshot {
		return n.atMember(ctx, req)
	}
	for {
		changed := n.leaderWatch.changed()
		response, err := n.atLeader(ctx, req)
		if !errors.Is(err, ErrNoLeader) {
			return response, err
		}
		if !leaderNews(ctx, changed) {
			return MemberResponse{}, err
		}
	}
}

// atLeader does an action once. ErrNoLeader means that it was certainly not
// begun.
func (n *Node) atLeader(ctx context.Context, req MemberRequest) (MemberResponse, error) {
	if n.leads() {
		return n.act(ctx, req)
	}
	address, id := n.raft.LeaderWithID()
	if address == "" || string(id) == n.id {
		return MemberResponse{}, ErrNoLeader
	}
	return n.ask(ctx, string(address), req)
}

// atMember does an action of one node at that node, this one if none is named.
func (n *Node) atMember(ctx context.Context, req MemberRequest) (MemberResponse, error) {
	if req.NodeID == "" || req.NodeID == n.id {
		return n.act(ctx, req)
	}
	server, err := n.memberNamed(req.NodeID)
	if err != nil {
		return MemberResponse{}, err
	}
	return n.ask(ctx, string(server.Address), req)
}

// ask lets another node act.
func (n *Node) ask(ctx context.Context, address string, req MemberRequest) (MemberResponse, error) {
	response, err := answered(n.client.Member(ctx, address, req))
	switch {
	case err == nil, refusalOf(err) != "":
		return response, err
	case errors.Is(err, transport.ErrNotLeader), errors.Is(err, transport.ErrUnreachable):
		return MemberResponse{}, fmt.Errorf("%w: ask %s: %w", ErrNoLeader, address, err)
	case errors.Is(err, transport.ErrWrongCluster), errors.Is(err, transport.ErrRefused):
		return MemberResponse{}, fmt.Errorf("%w: ask %s: %w", ErrMembership, address, err)
	default:
		return MemberResponse{}, fmt.Errorf("%w: ask %s: %w", ErrOutcomeUnknown, address, err)
	}
}

// act does an action here.
func (n *Node) act(ctx context.Context, req MemberRequest) (response MemberResponse, err error) {
	switch req.Action {
	case transport.ActionSnapshot:
		return n.snapshot(ctx)
	case transport.ActionHold, transport.ActionRelease:
		return n.hold(req.Action == transport.ActionHold)
	}
	if !n.leads() {
		return MemberResponse{}, fmt.Errorf("%w: %w", ErrNoLeader, n.notLeader())
	}
	switch req.Action {
	case transport.ActionAutopilot:
		return n.judge()
	case transport.ActionJoin:
		response, err = n.admit(ctx, req)
	case transport.ActionRemove:
		response, err = n.remove(ctx, req)
	case transport.ActionPromote:
		response, err = n.promote(ctx, req)
	case transport.ActionDemote:
		response, err = n.demote(ctx, req)
	case transport.ActionTransfer:
		response, err = n.transfer(ctx, req)
	default:
		return MemberResponse{}, fmt.Errorf("%w: this node does not know the action %q: upgrade it", ErrMembership, req.Action)
	}
	n.log.Info("membership", "action", req.Action, "node", response.NodeID, "changed", response.Changed, "force", req.Force, "index", response.Index, "request_id", req.RequestID, "error", err)
	return response, err
}

// standings are the members as this leader sees them.
func (n *Node) standings() []standing {
	seen, heard := n.seen(), n.reports()
	var all []standing
	for _, s := range n.servers() {
		id := string(s.ID)
		all = append(all, standing{id: id, voter: s.Suffrage == raft.Voter, live: n.answers(id, seen, heard), leader: id == n.id})
	}
	return all
}

func (n *Node) memberNamed(id string) (raft.Server, error) {
	server, member := n.server(id)
	if !member {
		return raft.Server{}, fmt.Errorf("%w: %q; the members are %v", ErrNoMember, id, n.names())
	}
	return server, nil
}

func (n *Node) names() (names []string) {
	for _, s := range n.servers() {
		names = append(names, string(s.ID))
	}
	return names
}

// settle waits for a change of the configuration.
func (n *Node) settle(ctx context.Context, future raft.IndexFuture) (index uint64, err error) {
	switch err := await(ctx, future); {
	case err == nil:
		return future.Index(), nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return 0, fmt.Errorf("%w: %w", ErrNoLeader, err)
	default:
		return 0, fmt.Errorf("%w: %w: ask for the members to see whether it took effect", ErrOutcomeUnknown, err)
	}
}

// addServer makes a node a member at an address, a newcomer as a non-voter;
// changed is false if it is one there already.
func (n *Node) addServer(ctx context.Context, id, address string) (index uint64, changed bool, err error) {
	for _, s := range n.servers() {
		if string(s.ID) != id && string(s.Address) == address {
			return 0, false, fmt.Errorf("%w: the address %s is that of the member %s: remove it first, or give %s another address", ErrMembership, address, s.ID, id)
		}
	}
	known, member := n.server(id)
	if member && string(known.Address) == address {
		return n.raft.CommitIndex(), false, nil
	}
	add := n.raft.AddNonvoter
	if member && known.Suffrage == raft.Voter {
		add = n.raft.AddVoter
	}
	n.contact.resumed(id)
	index, err = n.settle(ctx, add(raft.ServerID(id), raft.ServerAddress(address), 0, n.cfg.WriteTimeout))
	if err == nil {
		n.log.Info("node joined", "node", id, "address", address, "voter", member && known.Suffrage == raft.Voter)
	}
	return index, err == nil, err
}

// admit adds a node that an operator names, after a look at who is there.
func (n *Node) admit(ctx context.Context, req MemberRequest) (MemberResponse, error) {
	var understands uint16
	if !req.Force {
		hello, err := n.client.Hello(ctx, req.ClusterAddr, transport.HelloRequest{NodeID: n.id, ClusterID: n.ClusterID()})
		switch {
		case err != nil:
			return MemberResponse{}, fmt.Errorf("%w: no node answers at %s: start it first: %w", ErrMembership, req.ClusterAddr, err)
		case hello.NodeID != req.NodeID:
			return MemberResponse{}, fmt.Errorf("%w: the node at %s is called %s, not %s", ErrMembership, req.ClusterAddr, hello.NodeID, req.NodeID)
		case hello.ClusterID != "" && hello.ClusterID != n.ClusterID():
			return MemberResponse{}, fmt.Errorf("%w: the node at %s belongs to cluster %s: empty its data directory first", ErrMembership, req.ClusterAddr, hello.ClusterID)
		}
		understands = hello.CommandFormat
	}
	unlock, format, err := n.lockFormat(ctx)
	if err != nil {
		return MemberResponse{}, err
	}
	defer unlock()
	if !req.Force && understands < format {
		return MemberResponse{}, fmt.Errorf("%w: the node at %s understands command format %d, this cluster writes %d: start it with a newer version", ErrMembership, req.ClusterAddr, understands, format)
	}
	index, changed, err := n.addServer(ctx, req.NodeID, req.ClusterAddr)
	return MemberResponse{NodeID: req.NodeID, Index: index, Changed: changed, Detail: "the leader makes it a voter when it has been healthy for a while, unless it is a read replica"}, err
}

// remove takes a node out of the cluster for good.
func (n *Node) remove(ctx context.Context, req MemberRequest) (MemberResponse, error) {
	if _, err := n.memberNamed(req.NodeID); err != nil {
		return MemberResponse{}, err
	}
	if err := quorumGuard(without(n.standings(), req.NodeID), "removing "+req.NodeID, req.Force); err != nil {
		return MemberResponse{}, err
	}
	if err := n.sparesItself(req); err != nil {
		return MemberResponse{}, err
	}
	index, err := n.settle(ctx, n.raft.RemoveServer(raft.ServerID(req.NodeID), 0, n.cfg.WriteTimeout))
	if err == nil {
		n.holds.set(req.NodeID, false)
	}
	return MemberResponse{NodeID: req.NodeID, Index: index, Changed: err == nil, Detail: "it serves nothing any more; to add it anew, empty its data directory first"}, err
}

// sparesItself refuses that the leader takes its own vote away.
func (n *Node) sparesItself(req MemberRequest) error {
	if req.NodeID == n.id && !req.Force {
		return fmt.Errorf("%w: %s leads: transfer the leadership first", ErrMembership, n.id)
	}
	return nil
}

// promote makes a non-voter a voter now.
func (n *Node) promote(ctx context.Context, req MemberRequest) (MemberResponse, error) {
	server, err := n.memberNamed(req.NodeID)
	if err != nil {
		return MemberResponse{}, err
	}
	if server.Suffrage == raft.Voter {
		return MemberResponse{NodeID: req.NodeID, Index: n.raft.CommitIndex()}, nil
	}
	if err := n.caughtUp(req.NodeID, promotionLag); err != nil && !req.Force {
		return MemberResponse{}, err
	}
	if err := n.roomyDisk(req.NodeID); err != nil && !req.Force {
		return MemberResponse{}, err
	}
	if err := quorumGuard(voting(n.standings(), req.NodeID, true), "promoting "+req.NodeID, req.Force); err != nil {
		return MemberResponse{}, err
	}
	release := MemberRequest{ClusterID: req.ClusterID, Action: transport.ActionRelease, NodeID: req.NodeID, RequestID: req.RequestID}
	if _, err := n.ask(ctx, string(server.Address), release); err != nil && !req.Force {
		return MemberResponse{}, fmt.Errorf("%w: %s was not told that it may vote: %w", ErrMembership, req.NodeID, err)
	}
	n.holds.set(req.NodeID, false)
	index, err := n.settle(ctx, n.raft.AddVoter(server.ID, server.Address, 0, n.cfg.WriteTimeout))
	return MemberResponse{NodeID: req.NodeID, Index: index, Changed: err == nil}, err
}

// roomyDisk says why a member's disk is not fit for a part in commits, if so.
func (n *Node) roomyDisk(id string) error {
	if disk := n.seen()[id].Disk; disk != gossip.DiskOK {
		return fmt.Errorf("%w: the disk of %s is %s: mend it or make space, or choose another node", ErrMembership, id, diskName(disk))
	}
	return nil
}

// caughtUp says why a member does not answer or is more than so many entries
// behind, if so.
func (n *Node) caughtUp(id string, most uint64) error {
	heard := n.reports()
	switch {
	case !n.answers(id, n.seen(), heard):
		return fmt.Errorf("%w: %s does not answer", ErrMembership, id)
	case heard[id].lag > most:
		return fmt.Errorf("%w: %s is %d entries behind, %d are possible: wait until it has caught up", ErrMembership, id, heard[id].lag, most)
	}
	return nil
}

// demote makes a voter a non-voter that stays one until it is promoted.
func (n *Node) demote(ctx context.Context, req MemberRequest) (MemberResponse, error) {
	server, err := n.memberNamed(req.NodeID)
	if err != nil {
		return MemberResponse{}, err
	}
	if err := quorumGuard(voting(n.standings(), req.NodeID, false), "demoting "+req.NodeID, req.Force); err != nil {
		return MemberResponse{}, err
	}
	if err := n.sparesItself(req); err != nil {
		return MemberResponse{}, err
	}
	// The node itself keeps that it was demoted, so that no later leader makes it
	// a voter again.
	hold := MemberRequest{ClusterID: req.ClusterID, Action: transport.ActionHold, NodeID: req.NodeID, RequestID: req.RequestID}
	if req.NodeID == n.id {
		_, err = n.hold(true)
	} else {
		_, err = n.ask(ctx, string(server.Address), hold)
	}
	if err != nil && !req.Force {
		return MemberResponse{}, fmt.Errorf("%w: %s was not told to stay a non-voter; a node that is gone is removed, not demoted: %w", ErrMembership, req.NodeID, err)
	}
	n.holds.set(req.NodeID, true)
	if server.Suffrage != raft.Voter {
		return MemberResponse{NodeID: req.NodeID, Index: n.raft.CommitIndex()}, nil
	}
	index, err := n.settle(ctx, n.raft.DemoteVoter(server.ID, 0, n.cfg.WriteTimeout))
	if err != nil && !errors.Is(err, ErrOutcomeUnknown) {
		n.holds.set(req.NodeID, false)
	}
	return MemberResponse{NodeID: req.NodeID, Index: index, Changed: err == nil}, err
}

// transfer hands the leadership to a voter, to the one that is furthest along if
// none is named. Writes wait meanwhile.
func (n *Node) transfer(ctx context.Context, req MemberRequest) (MemberResponse, error) {
	if req.NodeID == n.id {
		return MemberResponse{NodeID: n.id, Index: n.raft.CommitIndex()}, nil
	}
	target, err := n.successor(req)
	if err != nil {
		return MemberResponse{}, err
	}
	leads := func() bool { return n.raft.State() == raft.Leader }
	term := n.raft.CurrentTerm()
	err = await(ctx, n.raft.LeadershipTransferToServer(target.ID, target.Address))
	if errors.Is(err, raft.ErrNotLeader) { // it has not begun
		return MemberResponse{}, fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	if err != nil && leads() {
		// The flag that refuses proposals during a transfer must not outlive it
		// (hashicorp/raft issue 696): this ends the node if it does.
		n.beginTerm(ctx)
		if leads() { // raft gives up after an election timeout: the target may have won since
			return MemberResponse{}, fmt.Errorf("%w: the leadership was not handed to %s: %w", ErrMembership, target.ID, err)
		}
	}
	for {
		changed := n.leaderWatch.changed()
		_, now := n.raft.LeaderWithID()
		switch {
		case leads() && n.raft.CurrentTerm() > term:
			return MemberResponse{}, fmt.Errorf("%w: the leadership was not handed to %s: node %s leads again", ErrMembership, target.ID, n.id)
		case now == "" || string(now) == n.id: // not known yet
		case req.NodeID != "" && now != target.ID:
			return MemberResponse{}, fmt.Errorf("%w: node %s leads now, not %s", ErrMembership, now, target.ID)
		default:
			return MemberResponse{NodeID: string(now), Index: n.raft.CommitIndex(), Changed: true}, nil
		}
		if !leaderNews(ctx, changed) {
			return MemberResponse{}, fmt.Errorf("%w: no new leader is known yet: %w", ErrOutcomeUnknown, context.Cause(ctx))
		}
	}
}

// successor is the voter that a transfer leads to.
func (n *Node) successor(req MemberRequest) (raft.Server, error) {
	if req.NodeID == "" {
		target, found := n.heir()
		if !found {
			return raft.Server{}, fmt.Errorf("%w: no other voter answers", ErrMembership)
		}
		return target, nil
	}
	target, err := n.memberNamed(req.NodeID)
	if err != nil {
		return raft.Server{}, err
	}
	if target.Suffrage != raft.Voter {
		return raft.Server{}, fmt.Errorf("%w: %s is a non-voter: promote it first", ErrMembership, req.NodeID)
	}
	if err := n.caughtUp(req.NodeID, readyLag); err != nil && !req.Force {
		return raft.Server{}, err
	}
	if err := n.roomyDisk(req.NodeID); err != nil && !req.Force {
		return raft.Server{}, err
	}
	return target, nil
}

// snapshot takes one here, which lets this node's log be truncated.
func (n *Node) snapshot(ctx context.Context) (MemberResponse, error) {
	err := n.takeSnapshot(ctx)
	response := MemberResponse{NodeID: n.id, Index: n.fsm.AppliedIndex(), Changed: err == nil}
	switch {
	case errors.Is(err, raft.ErrNothingNewToSnapshot):
		response.Detail = "nothing has been committed since the last one"
		return response, nil
	case err != nil && ctx.Err() != nil:
		return MemberResponse{}, fmt.Errorf("%w: the snapshot goes on: %w", ErrOutcomeUnknown, err)
	case err != nil:
		return MemberResponse{}, fmt.Errorf("%w: no snapshot was taken: %w", ErrMembership, err)
	}
	return response, nil
}

// hold keeps on this node's disk whether it stays a non-voter.
func (n *Node) hold(on bool) (MemberResponse, error) {
	if !on && n.cfg.NonVoter {
		return MemberResponse{}, fmt.Errorf("%w: %s is a read replica by its setting non-voter: start it without", ErrMembership, n.id)
	}
	if err := n.who.change(&n.cfg, func(i *identity) { i.Held = on }); err != nil {
		return MemberResponse{}, fmt.Errorf("%w: %w", ErrMembership, err)
	}
	return MemberResponse{NodeID: n.id, Changed: true}, nil
}

// nonVoter tells whether this node is not to become a voter.
func (n *Node) nonVoter() bool { return n.cfg.NonVoter || n.who.held() }

// holds are the nodes that this leader has demoted: until their own word arrives
// by gossip, this keeps them from being promoted again.
type holds struct {
	mu    sync.Mutex
	nodes map[string]bool
}

func (h *holds) set(id string, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nodes == nil {
		h.nodes = map[string]bool{}
	}
	h.nodes[id] = on
}

// override returns what this leader has decided on a node lately, else what the
// node says.
func (h *holds) override(id string, says bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if on, decided := h.nodes[id]; decided {
		if on == says {
			delete(h.nodes, id) // the word has arrived
		}
		return on
	}
	return says
}
