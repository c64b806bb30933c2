package fsm

import (
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
)

// Apply implements raft.FSM.
func (f *FSM) Apply(log *raft.Log) any { return f.ApplyBatch([]*raft.Log{log})[0] }

// StoreConfiguration implements raft.ConfigurationStore. Its presence makes raft
// hand configuration entries to ApplyBatch, where they move the applied index;
// raft keeps the configuration itself.
func (f *FSM) StoreConfiguration(index uint64, c raft.Configuration) {
	f.members.Store(&configuration{index, c})
}

// configuration is one of the cluster at its log index.
type configuration struct {
	index uint64
	raft.Configuration
}

// Configuration is the newest configuration of the cluster that is known to be
// committed, with its log index; 0 while none is. Raft itself tells only of the
// newest one, committed or not.
func (f *FSM) Configuration() (index uint64, c raft.Configuration) {
	if known := f.members.Load(); known != nil {
		return known.index, known.Configuration
	}
	return 0, raft.Configuration{}
}

// ApplyBatch implements raft.BatchingFSM: the entries become one index batch.
// Each response is a *Response.
func (f *FSM) ApplyBatch(logs []*raft.Log) []any {
	f.applying.Lock()
	defer f.applying.Unlock()
	responses := make([]any, len(logs))
	err := f.usable()
	if err == nil {
		if err = f.apply(logs, responses); err != nil {
			f.fail(err)
			err = f.Failed()
		}
	}
	if err != nil {
		for i, log := range logs {
			responses[i] = &Response{Index: log.Index, Err: err}
		}
	}
	return responses
}

// state is the digest and count after one entry.
type state struct {
	index  uint64
	digest assertion.Hash
	count  uint64
}

func (f *FSM) apply(logs []*raft.Log, responses []any) (err error) {
	batch, err := f.db.NewBatch()
	if err != nil {
		return err
	}
	defer batch.Close()
	var states []state
	for i, log := range logs {
		response := &Response{Index: log.Index}
		responses[i] = response
		if log.Type == raft.LogConfiguration {
			f.StoreConfiguration(log.Index, raft.DecodeConfiguration(log.Data))
		}
		if log.Index <= batch.Applied().Index {
			response.Err = ErrSkipped
			f.replay.skip()
			continue
		}
		if err := f.applyEntry(batch, log, response); err != nil {
			return fmt.Errorf("apply log entry %d: %w", log.Index, err)
		}
		f.replay.apply(log.Index)
		states = append(states, state{log.Index, batch.Digest(), batch.Count()})
	}
	if len(states) == 0 {
		return nil
	}
	if err := batch.Commit(); err != nil {
		return err
	}
	f.format.Store(uint32(batch.Format()))
	f.position.publishAll(states)
	return nil
}

// applyEntry puts the effect of one entry into the batch.
func (f *FSM) applyEntry(batch *index.Batch, log *raft.Log, response *Response) error {
	applied := index.Applied{Index: log.Index, Term: log.Term, CommittedAt: batch.Applied().CommittedAt}
	if log.Type != raft.LogCommand { // a configuration: raft's own business
		batch.SetApplied(applied)
		return nil
	}
	c, err := decodeCommand(log.Data)
	if err != nil {
		return err
	}
	applied.CommittedAt = max(applied.CommittedAt, c.now)
	switch c.kind {
	case commandWrite:
		response.Results = make([]Result, len(c.records))
		for i, record := range c.records {
			commit := assertion.Commit{Position: assertion.Position{Index: log.Index, Offset: uint16(i)}, At: applied.CommittedAt}
			if response.Results[i], err = f.write(batch, record, commit); err != nil {
				return fmt.Errorf("entry %d: %w", i, err)
			}
		}
	case commandClusterInit:
		if err := batch.SetClusterID(c.text); err != nil {
			return err
		}
	case commandFormat:
		if err := batch.RaiseFormat(c.format); err != nil {
			return err
		}
	case commandTermStart:
	}
	batch.SetApplied(applied)
	return nil
}

// write puts one entry of a command into the batch.
func (f *FSM) write(batch *index.Batch, record []byte, c assertion.Commit) (Result, error) {
	if len(record) == 0 {
		return Result{}, fmt.Errorf("%w: an empty entry", errMalformed)
	}
	kind, record, admission, err := assertion.OpenEntry(record)
	if err != nil {
		return Result{}, err
	}
	if kind == assertion.KindAssertion {
		a, hash, err := assertion.DecodeRecord(record)
		if err != nil {
			return Result{}, err
		}
		outcome, err := batch.Assert(a, hash, c, admission)
		return Result{Outcome: outcome, Hash: hash}, err
	}
	if kind == 0 || kind == assertion.KindCosignature || kind >= assertion.KindAdmitted {
		return Result{}, fmt.Errorf("%w: an entry of the kind %d; it was written by a newer stemedb: upgrade this node", ErrUnknownCommand, kind)
	}
	e, err := assertion.DecodeEntry(kind, record)
	if err != nil {
		return Result{}, err
	}
	outcome, hash, err := batch.Put(e, record, c, admission)
	return Result{Outcome: outcome, Hash: hash}, err
}

// ReplayStats says which entries a process applied or skipped since it opened
// the state and until it called MarkRecovered.
type ReplayStats struct {
	First, Last uint64 // log indexes of the entries applied; 0 if none was
	Applied     uint64
	Skipped     uint64 // entries handed over again whose effect was there
}

type replay struct {
	mu    sync.Mutex
	done  bool
	stats ReplayStats
}

func (r *replay) apply(index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return
	}
	if r.stats.Applied == 0 {
		r.stats.First = index
	}
	r.stats.Last = index
	r.stats.Applied++
}

func (r *replay) skip() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.done {
		r.stats.Skipped++
	}
}

// MarkRecovered ends the counting of the replay and returns it.
func (f *FSM) MarkRecovered() ReplayStats {
	f.replay.mu.Lock()
	defer f.replay.mu.Unlock()
	f.replay.done = true
	return f.replay.stats
}
