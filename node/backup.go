package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/index"
)

var (
	// ErrLogGap means that the node's log does not reach back, or not in the same
	// history, to where a log backup is to begin.
	ErrLogGap = errors.New("the log does not continue that backup")
	// ErrNothingNew means that the log holds nothing after the backup before.
	ErrNothingNew = errors.New("there is nothing new in the log")
)

// BackupRequest says what to back up.
type BackupRequest struct {
	// Kind is backup.Full or backup.Log.
	Kind backup.Kind
	// After and AfterTerm are, of a log backup, the last entry of the backup that
	// it continues and its term. 0 means: all that the log still holds, and any
	// term.
	After, AfterTerm uint64
	// Consistency is what the state must satisfy that is backed up.
	Consistency Consistency
}

// Backup is a backup that is ready to be written. Close it.
type Backup struct {
	node    *Node
	head    backup.Metadata
	size    int64
	content func(io.Writer) error
	close   func() error
}

// Backup prepares a backup of this node at one log index. A node takes one at a
// time.
//
// Errors: those of Read; ErrOverloaded while another backup is being taken;
// ErrLogGap, ErrNothingNew for a log backup.
func (n *Node) Backup(ctx context.Context, r BackupRequest) (b *Backup, err error) {
	if !n.backingUp.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("%w: this node is taking another backup", ErrOverloaded)
	}
	defer func() {
		if err != nil {
			n.backingUp.Store(false)
		}
	}()
	view, err := n.Read(ctx, r.Consistency)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	if view.ClusterID() == "" {
		return nil, fmt.Errorf("%w: this node is not part of a cluster yet", ErrNoLeader)
	}
	b = &Backup{node: n, head: backup.Metadata{Kind: r.Kind, Node: n.id, Timestamp: startedAt(n.cfg.Now), SoftwareVersion: n.cfg.Version}}
	if r.Kind == backup.Log {
		return b, b.ofLog(n.logs, viewHead(view), r)
	}
	state, err := n.fsm.Copy(n.cfg.BackupRate) // at the view's index, or after it
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	b.ofState(state)
	return b, nil
}

// startedAt is the time stamp of a backup: whole seconds.
func startedAt(now func() time.Time) time.Time { return now().UTC().Truncate(time.Second) }

// head is what a state says of itself.
type head struct {
	applied index.Applied
	cluster string
	digest  [32]byte
	count   uint64
}

func viewHead(v *index.View) head { return head{v.Applied(), v.ClusterID(), v.Digest(), v.Count()} }

// describe puts what a state says of itself into the manifest.
func (b *Backup) describe(h head) {
	b.head.ClusterID, b.head.Index, b.head.Term, b.head.CommittedAt = h.cluster, h.applied.Index, h.applied.Term, h.applied.CommittedAt
	b.head.Digest, b.head.AssertionCount = h.digest, h.count
}

// ofState makes it a backup of a state.
func (b *Backup) ofState(state *fsm.Copy) {
	b.describe(head{state.Applied, state.ClusterID, state.Digest, state.Count})
	b.size, b.content, b.close = state.Size(), state.Stream, state.Close
}

// ofLog makes it a backup of the log up to a state.
func (b *Backup) ofLog(logs raft.LogStore, h head, r BackupRequest) error {
	b.describe(h)
	first, err := logs.FirstIndex()
	if err != nil {
		return fmt.Errorf("read the raft log: %w", err)
	}
	from := r.After + 1
	if r.After == 0 {
		from = max(first, 1)
	}
	switch {
	case r.After > h.applied.Index:
		return fmt.Errorf("%w: this node has applied the log up to index %d only, the backup before ends with %d: it is one of another cluster, or this node is behind", ErrLogGap, h.applied.Index, r.After)
	case r.After == h.applied.Index:
		return fmt.Errorf("%w: the backup before ends with log index %d, as the log does", ErrNothingNew, r.After)
	case first == 0 || r.After < first && r.After != 0:
		return fmt.Errorf("%w: it begins with entry %d, and the backup before ends with %d, which must still be there to be compared: take a full backup, and log backups more often (trailing-logs says how many entries stay)", ErrLogGap, first, r.After)
	}
	b.head.FirstIndex = from
	if r.After != 0 {
		var entry raft.Log
		if err := logs.GetLog(r.After, &entry); err != nil {
			return fmt.Errorf("read entry %d of the raft log: %w", r.After, err)
		}
		if r.AfterTerm != 0 && entry.Term != r.AfterTerm {
			return fmt.Errorf("%w: entry %d is of term %d here, and of term %d in the backup before: that one is of another history; take a full backup", ErrLogGap, r.After, entry.Term, r.AfterTerm)
		}
		b.head.PreviousTerm = entry.Term
	}
	b.content = func(w io.Writer) error {
		var buf []byte
		for at := from; at <= h.applied.Index; at++ {
			var entry raft.Log
			if err := logs.GetLog(at, &entry); err != nil {
				return fmt.Errorf("read entry %d of the raft log: %w: it was truncated meanwhile; take a full backup", at, err)
			}
			buf = backup.AppendEntry(buf[:0], backup.Entry{Index: entry.Index, Term: entry.Term, Type: uint8(entry.Type), Data: entry.Data})
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// Index is the log index that the backup is of.
func (b *Backup) Index() uint64 { return b.head.Index }

// Size is how much content there is before compression, in bytes; 0 if that is
// not known beforehand.
func (b *Backup) Size() int64 { return b.size }

// WriteTo writes the backup into a sink.
func (b *Backup) WriteTo(ctx context.Context, sink backup.Sink) (*backup.Metadata, error) {
	o := backup.Options{}
	if b.node != nil {
		o.Rate = b.node.cfg.BackupRate
	}
	return backup.Write(ctx, sink, b.head, b.content, o)
}

// Close ends the backup.
func (b *Backup) Close() error {
	var err error
	if b.close != nil {
		err = b.close()
	}
	if b.node != nil {
		b.node.backingUp.Store(false)
	}
	return err
}

// BackupStopped takes a backup of the node of a data directory that no server
// uses, into a store, and returns where it is. It holds every entry in
// the node's log, also those that may not have been committed: the node cannot
// know. With logOnly it holds the log after the last backup in that store. The
// data directory stays as it is but for what opening it does.
//
// Errors: ErrDataDirInUse while a server uses the directory; ErrLogGap,
// ErrNothingNew.
func BackupStopped(ctx context.Context, cfg Config, store backup.Store, logOnly bool) (path string, m *backup.Metadata, err error) {
	who, data, err := openStopped(&cfg)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	whole, err := data.withLog(&cfg)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, whole.Close()) }()
	b := &Backup{head: backup.Metadata{Kind: backup.Full, Node: who.NodeID, Timestamp: startedAt(time.Now), SoftwareVersion: cfg.Version}}
	if logOnly {
		err = b.ofStoppedLog(ctx, whole, data.logs, store)
	} else {
		var state *fsm.Copy
		if state, err = whole.Copy(0); err == nil {
			b.ofState(state)
		}
	}
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if b.head.ClusterID == "" {
		return "", nil, fmt.Errorf("node %s has never been part of a cluster: there is nothing to back up", who.NodeID)
	}
	sink, err := store.Create(ctx, b.head.Timestamp)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	m, err = b.WriteTo(ctx, sink)
	return sink.Path(), m, err
}

// ofStoppedLog makes it a backup of the log after the last backup in a store.
func (b *Backup) ofStoppedLog(ctx context.Context, whole *fork, logs raft.LogStore, store backup.Store) error {
	b.head.Kind = backup.Log
	h, err := stateHead(whole.FSM)
	if err != nil {
		return err
	}
	all, err := backup.List(ctx, store)
	if err != nil {
		return err
	}
	r := BackupRequest{Kind: backup.Log}
	if tip := backup.Tip(all, h.cluster); tip != nil {
		r.After, r.AfterTerm = tip.Metadata.Index, tip.Metadata.Term
	}
	return b.ofLog(logs, h, r)
}

// replay applies the entries of a log to a state.
type replay struct {
	state  *fsm.FSM
	waits  []*raft.Log
	clock  uint64 // committed_at of the last entry
	target backup.Target
	ended  bool // the target is reached
	last   uint64
	term   uint64 // of the last entry
}

// replayBatch is how many entries are applied at once.
const replayBatch = 512

// newReplay begins behind what a state holds.
func newReplay(state *fsm.FSM, to backup.Target) (*replay, error) {
	at, err := stateHead(state)
	return &replay{state: state, clock: at.applied.CommittedAt, target: to, last: at.applied.Index, term: at.applied.Term}, err
}

// add takes the next entry; entries that the state holds already, and those after
// the target, are left out. A log whose entry of the state's index is of another
// term is that of another history.
func (r *replay) add(log *raft.Log) error {
	if !r.ended && log.Index == r.last && log.Term != r.term {
		return fmt.Errorf("%w: entry %d is of term %d in the log, and of term %d in what it is to continue: one of the two holds entries that were never committed", ErrLogGap, log.Index, log.Term, r.term)
	}
	if r.ended || log.Index <= r.last {
		return nil
	}
	if log.Index != r.last+1 {
		return fmt.Errorf("entry %d of the log follows entry %d", log.Index, r.last)
	}
	at, err := fsm.CommitTime(log, r.clock)
	if err != nil {
		return fmt.Errorf("entry %d of the log: %w", log.Index, err)
	}
	if r.target.Index != 0 && log.Index > r.target.Index || r.target.Time != 0 && at > r.target.Time {
		r.ended = true
		return nil
	}
	r.clock, r.last, r.term = at, log.Index, log.Term
	if log.Type != raft.LogCommand && log.Type != raft.LogConfiguration {
		return nil // raft's own: the state machine never sees them
	}
	r.waits = append(r.waits, log)
	if len(r.waits) < replayBatch {
		return nil
	}
	return r.flush()
}

// flush applies what waits.
func (r *replay) flush() error {
	if len(r.waits) == 0 {
		return nil
	}
	for _, response := range r.state.ApplyBatch(r.waits) {
		if response, ok := response.(*fsm.Response); ok && response.Err != nil {
			return fmt.Errorf("apply entry %d of the log: %w", response.Index, response.Err)
		}
	}
	r.waits = r.waits[:0]
	return nil
}

// addAll takes every entry of a log store from the state's on.
func (r *replay) addAll(logs raft.LogStore) error {
	if err := eachEntry(logs, r.last+1, r.add); err != nil {
		return err
	}
	return r.flush()
}
