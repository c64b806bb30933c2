package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stemedb/stemedb/api"
	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/node"
	"github.com/stemedb/stemedb/transport"
)

// store lets the API use a node: it translates their types and errors.
type store struct{ node *node.Node }

var _ api.Store = store{}

// Write implements api.Store.
func (s store) Write(ctx context.Context, caller api.Caller, entries []assertion.Entry) (api.WriteResult, error) {
	result, err := s.node.Write(ctx, node.Caller{RequestID: caller.RequestID, AgentID: caller.AgentID, RemoteAddr: caller.RemoteAddr}, entries...)
	if err != nil {
		return api.WriteResult{}, translate(err)
	}
	out := api.WriteResult{Index: result.Index, Results: make([]api.EntryResult, len(result.Results))}
	for i, r := range result.Results {
		outcome, err := outcomeOf(r.Outcome)
		if err != nil {
			return api.WriteResult{}, err
		}
		out.Results[i] = api.EntryResult{Hash: r.Hash, Outcome: outcome}
	}
	return out, nil
}

func outcomeOf(o index.Outcome) (api.Outcome, error) {
	switch o {
	case index.Created:
		return api.Created, nil
	case index.Exists:
		return api.Exists, nil
	case index.Cosigned:
		return api.Cosigned, nil
	case index.NotOwner:
		return api.NotOwner, nil
	case index.ParentNotFound:
		return api.ParentNotFound, nil
	case index.V1Cosign:
		return api.V1Cosign, nil
	case index.TooManySigners:
		return api.TooManySigners, nil
	case index.TargetNotFound:
		return api.TargetNotFound, nil
	case index.ParentDiffers:
		return api.ParentDiffers, nil
	case index.Outdated:
		return api.Outdated, nil
	case index.Quarantined:
		return api.Quarantined, nil
	case index.Held:
		return api.Held, nil
	case index.Unreviewable:
		return api.Unreviewable, nil
	case index.WorkReused:
		return api.WorkReused, nil
	case index.WorkStale:
		return api.WorkStale, nil
	}
	return 0, fmt.Errorf("%w: the leader answered with the unknown outcome %v", api.ErrOutcomeUnknown, o)
}

// WaitApplied implements api.Store.
func (s store) WaitApplied(ctx context.Context, index uint64) error {
	return translate(s.node.WaitApplied(ctx, index))
}

// Sign implements api.Store.
func (s store) Sign(message []byte) (assertion.AgentID, assertion.SignatureBytes) {
	return s.node.Sign(message)
}

// Read implements api.Store.
func (s store) Read(ctx context.Context, c api.Consistency) (api.View, error) {
	v, err := s.node.Read(ctx, consistency(c))
	if err != nil {
		return nil, translate(err)
	}
	return view{v}, nil
}

func consistency(c api.Consistency) node.Consistency {
	level := node.Linearizable
	switch c.Level {
	case api.Bounded:
		level = node.Bounded
	case api.Local:
		level = node.Local
	case api.Linearizable:
	}
	return node.Consistency{Level: level, MaxStale: c.MaxStale, MinIndex: c.MinIndex, KnownAt: c.KnownAt}
}

// Signers implements api.Store.
func (s store) Signers(h assertion.Hash) ([]assertion.AgentID, error) {
	return translated(s.node.Signers(h))
}

// Health implements api.Store.
func (s store) Health(context.Context) v1.Health {
	h := s.node.Health()
	return v1.Health{Status: h.Status, AssertionsCount: h.Assertions, Node: h.NodeID, Leader: h.Leader, Role: h.Role, Index: h.Index}
}

// Ready implements api.Store.
func (s store) Ready(ctx context.Context) v1.Readiness {
	r := s.node.Ready(ctx)
	out := v1.Readiness{Ready: r.Ready}
	for _, c := range r.Checks {
		out.Checks = append(out.Checks, v1.Check(c))
	}
	return out
}

// Cluster implements api.Store.
func (s store) Cluster(context.Context) v1.Cluster {
	c := s.node.Cluster()
	out := v1.Cluster{
		ClusterID: c.ClusterID, Node: c.NodeID, Leader: c.Leader, Term: c.Term, CommitIndex: c.CommitIndex,
		AppliedIndex: c.AppliedIndex, AssertionsCount: c.Assertions, Digest: c.Digest, Converged: c.Converged,
	}
	for _, m := range c.Members {
		out.Members = append(out.Members, v1.Member{
			Node: m.NodeID, ClusterAddr: m.ClusterAddr, HTTPAddr: m.HTTPAddr, GossipAddr: m.GossipAddr, Version: m.Version,
			Suffrage: m.Suffrage, State: m.State, Leader: m.Leader, AppliedIndex: m.AppliedIndex,
			LagEntries: m.LagEntries, LagSeconds: m.LagSeconds, DigestAgrees: m.DigestAgrees, Disk: m.Disk,
		})
	}
	return out
}

// ChangeMembers implements api.Store.
func (s store) ChangeMembers(ctx context.Context, caller api.Caller, action string, c v1.ClusterChange) (v1.ClusterChanged, error) {
	r, err := s.node.ChangeMembers(ctx, node.MemberRequest{Action: action, NodeID: c.Node, ClusterAddr: c.ClusterAddr, Force: c.Force, RequestID: caller.RequestID})
	if err != nil {
		return v1.ClusterChanged{}, translate(err)
	}
	out := v1.ClusterChanged{Action: action, Node: r.NodeID, Status: v1.ChangeUnchanged, Index: r.Index, Detail: r.Detail}
	if r.Changed {
		out.Status = v1.ChangeDone
	}
	return out, nil
}

// Autopilot implements api.Store.
func (s store) Autopilot(ctx context.Context) (v1.Autopilot, error) {
	r, err := s.node.ChangeMembers(ctx, node.MemberRequest{Action: transport.ActionAutopilot})
	if err == nil && r.Autopilot == nil {
		err = fmt.Errorf("%w: the leader answered without its judgement: upgrade it", node.ErrOutcomeUnknown)
	}
	if err != nil {
		return v1.Autopilot{}, translate(err)
	}
	a := r.Autopilot
	out := v1.Autopilot{
		Healthy: a.Healthy, FailureTolerance: a.FailureTolerance, Leader: a.Leader, Servers: []v1.AutopilotServer{},
		StabilizationSeconds: time.Duration(a.Stabilization).Seconds(), DeadAfterSeconds: time.Duration(a.DeadAfter).Seconds(), MinQuorum: a.MinQuorum,
	}
	for _, m := range a.Servers {
		out.Servers = append(out.Servers, v1.AutopilotServer{
			Node: m.NodeID, Suffrage: m.Suffrage, State: m.Status, Healthy: m.Healthy, ReadReplica: m.NonVoter,
			StableSince: uint64(max(m.StableSince, 0)), LastContactSeconds: max(time.Duration(m.LastContact).Seconds(), 0), LastIndex: m.LastIndex,
		})
	}
	return out, nil
}

// Backup implements api.Store.
func (s store) Backup(ctx context.Context, r api.BackupRequest) (api.Backup, error) {
	kind := backup.Full
	if r.Log {
		kind = backup.Log
	}
	b, err := s.node.Backup(ctx, node.BackupRequest{Kind: kind, After: r.After, AfterTerm: r.AfterTerm, Consistency: consistency(r.Consistency)})
	if err != nil {
		return nil, translate(err)
	}
	return streamed{b}, nil
}

// streamed lets the API send a backup.
type streamed struct{ *node.Backup }

// WriteTo implements api.Backup.
func (b streamed) WriteTo(ctx context.Context, w io.Writer) error {
	_, err := b.Backup.WriteTo(ctx, backup.NewStream(w))
	return err
}

// translate wraps an error of the node into the API's error of the same
// meaning.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, pair := range [...]struct{ own, apis error }{
		{node.ErrOutcomeUnknown, api.ErrOutcomeUnknown}, // first: it may wrap one of the others
		{node.ErrNoMember, api.ErrNoMember},
		{node.ErrQuorumAtRisk, api.ErrQuorumAtRisk},
		{node.ErrMembership, api.ErrMembership},
		{node.ErrRemoved, api.ErrRemoved},
		{node.ErrDisk, api.ErrDisk},
		{node.ErrDiskSpace, api.ErrDiskSpace},
		{node.ErrFailed, api.ErrFailed},
		{node.ErrTooStale, api.ErrTooStale},
		{node.ErrNoLeader, api.ErrNoLeader},
		{node.ErrOverloaded, api.ErrOverloaded},
		{node.ErrStopping, api.ErrStopping},
		{node.ErrMinIndex, api.ErrMinIndexNotReached},
		{node.ErrLogGap, api.ErrLogGap},
		{node.ErrNothingNew, api.ErrLogUnchanged},
		{node.ErrFutureState, api.ErrFutureState},
		{index.ErrNotFound, api.ErrNotFound},
		{index.ErrBadCursor, api.ErrBadCursor},
		{index.ErrCorrupt, api.ErrFailed},
	} {
		if errors.Is(err, pair.own) {
			return meaning{pair.apis, err}
		}
	}
	return err
}

// meaning is an error of the node with the API's error of the same meaning. Both
// often have the same words, which are said once.
type meaning struct{ apis, own error }

func (m meaning) Error() string {
	if strings.HasPrefix(m.own.Error(), m.apis.Error()) {
		return m.own.Error()
	}
	return m.apis.Error() + ": " + m.own.Error()
}

func (m meaning) Unwrap() []error { return []error{m.apis, m.own} }
