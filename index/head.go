package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/internal/lthash"
)

// Applied is the last log entry that the index holds the effect of.
type Applied struct {
	Index, Term uint64
	// CommittedAt is the entry's time, unix seconds. It never decreases.
	CommittedAt uint64
}

// appliedBytes is the length of an encoded Applied.
const appliedBytes = 24

func (a Applied) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, appliedBytes), a.Index)
	b = binary.BigEndian.AppendUint64(b, a.Term)
	return binary.BigEndian.AppendUint64(b, a.CommittedAt)
}

func decodeApplied(b []byte) (Applied, error) {
	if len(b) != appliedBytes {
		return Applied{}, fmt.Errorf("%w: the applied entry has %d bytes, not %d", ErrCorrupt, len(b), appliedBytes)
	}
	return Applied{
		Index: binary.BigEndian.Uint64(b), Term: binary.BigEndian.Uint64(b[8:]), CommittedAt: binary.BigEndian.Uint64(b[16:]),
	}, nil
}

// firstFormat is the command format of a cluster that never raised it.
const firstFormat = 1

// head is what the index says of itself: how far it has come, and the totals of
// its records.
type head struct {
	applied Applied
	cluster string
	format  uint16 // of commands, as the cluster writes them
	count   uint64
	pending uint64 // quarantined claims that nobody has decided on
	digest  lthash.State
}

// write puts the head into a batch. The cluster's name and command format
// are not in it: they hardly ever change.
func (h *head) write(b *pebble.Batch) error {
	return errors.Join(
		b.Set(keyApplied, h.applied.encode(), nil),
		b.Set(keyCount, binary.BigEndian.AppendUint64(nil, h.count), nil),
		b.Set(keyPending, binary.BigEndian.AppendUint64(nil, h.pending), nil),
		b.Set(keyDigest, h.digest[:], nil),
	)
}

// readHead reads the head. Every batch writes applied entry, count and digest
// together, so an index has all of them or is new.
func (d *DB) readHead(r pebble.Reader) (*head, error) {
	h := new(head)
	cluster, err := d.get(r, keyClusterID)
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return nil, err
	}
	h.cluster = string(cluster)
	h.format = firstFormat
	raw, err := d.get(r, keyFormat)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return nil, err
	case len(raw) != 2:
		return nil, d.explain(fmt.Errorf("%w: the command format has %d bytes, not 2", ErrCorrupt, len(raw)))
	default:
		h.format = binary.BigEndian.Uint16(raw)
	}
	raw, err = d.get(r, keyApplied)
	if errors.Is(err, pebble.ErrNotFound) {
		return h, nil
	}
	if err != nil {
		return nil, err
	}
	if h.applied, err = decodeApplied(raw); err != nil {
		return nil, d.explain(err)
	}
	if h.count, err = d.readCount(r, keyCount); err != nil {
		return nil, err
	}
	if h.pending, err = d.readCount(r, keyPending); err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return nil, err // an index from before there was a quarantine has none
	}
	if raw, err = d.get(r, keyDigest); err == nil && len(raw) != lthash.Bytes {
		err = fmt.Errorf("%d bytes, not %d", len(raw), lthash.Bytes)
	}
	if err != nil {
		return nil, d.explain(fmt.Errorf("%w: the digest state: %w", ErrCorrupt, err))
	}
	h.digest = lthash.State(raw)
	return h, nil
}

// readCount reads a counter of the head. The error of one that is missing wraps
// pebble.ErrNotFound.
func (d *DB) readCount(r pebble.Reader, k []byte) (uint64, error) {
	raw, err := d.get(r, k)
	if err == nil && len(raw) != 8 {
		err = fmt.Errorf("%d bytes, not 8", len(raw))
	}
	if err != nil {
		return 0, d.explain(fmt.Errorf("%w: the counter %q: %w", ErrCorrupt, k, err))
	}
	return binary.BigEndian.Uint64(raw), nil
}
