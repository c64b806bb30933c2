package index

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// View is the index as of one applied entry. Close it when done: it keeps old
// data alive. It may be used by one goroutine at a time.
type View struct {
	db       *DB
	snapshot pebble.Reader
	head     *head
	// known is the committed_at up to which the view sees, nil if all.
	known *uint64
	// unknown is where what is not known at known begins, nil until it is needed.
	unknown *boundary
	// retracted remembers which sources are retracted.
	retracted map[assertion.Hash]bool
}

// View opens a view of the newest state. ErrClosed if the index was closed.
func (d *DB) View() (*View, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	before := d.head.Load()
	v := &View{db: d, snapshot: d.db.NewSnapshot(), head: before}
	if before != nil && before == d.head.Load() {
		return v, nil
	}
	var err error
	if v.head, err = d.readHead(v.snapshot); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// enter begins a read that Close waits for; d.views.Done must follow.
func (d *DB) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	d.views.Add(1)
	return nil
}

// Signers returns who has signed a claim, in the newest state; none if it is not
// there. It is cheaper than a view.
func (d *DB) Signers(h assertion.Hash) ([]assertion.AgentID, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.views.Done()
	it, err := d.db.NewIter(&unlikely)
	if err != nil {
		return nil, d.explain(err)
	}
	raw, err := d.seek(it, hashKey(h))
	if closed := it.Close(); closed != nil {
		return nil, d.explain(closed)
	}
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	at, err := d.place(h, raw)
	if err != nil {
		return nil, err
	}
	stored, err := d.load(d.db, at)
	if err != nil {
		return nil, err
	}
	agents := make([]assertion.AgentID, len(stored.claim.Signatures))
	for i := range agents {
		agents[i] = stored.claim.Signatures[i].AgentID
	}
	return agents, nil
}

// Close releases the view. Closing it again does nothing.
func (v *View) Close() error {
	if v.snapshot == nil {
		return nil
	}
	err := v.snapshot.Close()
	v.snapshot = nil
	v.db.views.Done()
	return err
}

// Applied is the last log entry whose effect the view shows.
func (v *View) Applied() Applied { return v.head.applied }

// ClusterID is the cluster's name, "" before it has one.
func (v *View) ClusterID() string { return v.head.cluster }

// Format is the command format that the cluster writes, from 1.
func (v *View) Format() uint16 { return v.head.format }

// Count is the number of claims of whatever stage.
func (v *View) Count() uint64 { return v.head.count }

// Digest is the set digest of all records; two indexes with the same records
// have the same digest, whatever logs they came through.
func (v *View) Digest() assertion.Hash { return v.head.digest.Sum() }

// Get returns the claim with a hash, or ErrNotFound.
func (v *View) Get(h assertion.Hash) (*assertion.Claim, error) {
	raw, err := v.db.get(v.snapshot, hashKey(h))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, h)
	}
	if err != nil {
		return nil, err
	}
	at, err := v.db.place(h, raw)
	if err != nil {
		return nil, err
	}
	c, err := v.load(at)
	if err == nil && c == nil {
		return nil, fmt.Errorf("%w at that time: %s", ErrNotFound, h)
	}
	return c, err
}

func (v *View) stored(s seq) (*storedClaim, error) { return v.db.load(v.snapshot, s) }

// load returns a claim that an index entry points to, as it was known; nil if
// it was not.
func (v *View) load(s seq) (*assertion.Claim, error) {
	stored, err := v.stored(s)
	if err != nil {
		return nil, err
	}
	if v.known != nil {
		if known, err := v.rewind(stored); err != nil || !known {
			return nil, err
		}
	}
	c := &stored.claim
	c.SourceRetracted, err = v.isRetracted(c.SourceHash)
	return c, err
}
