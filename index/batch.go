package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// Outcome is what became of a claim.
type Outcome uint8

// The outcomes. Only Created, Cosigned and Quarantined change anything.
const (
	Created        Outcome = iota + 1 // stored
	Exists                            // stored before, with all these signers
	Cosigned                          // stored before; new signers were added
	NotOwner                          // a transition or supersession without an owner of the claim
	ParentNotFound                    // a transition of an unknown claim
	V1Cosign                          // version 1 signatures never join a claim signed with version 2
	TooManySigners                    // the claim would have more signers than allowed
	TargetNotFound                    // an entry about a claim, epoch or source that is not there
	ParentDiffers                     // a transition that says something else than its parent
	Outdated                          // an API key's state that does not follow from the one that is there
	Quarantined                       // a claim that is stored and left out of answers until it is reviewed
	Held                              // stored before, with all these signers, and left out of answers
	Unreviewable                      // a co-signature that the content defence would quarantine
	WorkReused                        // the proof of work has admitted something else before
	WorkStale                         // the proof of work is too far from the commit time
)

func (o Outcome) String() string {
	names := []string{"", "created", "exists", "cosigned", "not_owner", "parent_not_found", "v1_cosign", "too_many_signers", "target_not_found", "parent_differs", "outdated",
		"quarantined", "held", "unreviewable", "work_reused", "work_stale"}
	if int(o) < len(names) && o > 0 {
		return names[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Batch collects the effect of some log entries and commits it at once. Later
// claims of a batch see earlier ones.
type Batch struct {
	db *DB
	// recall holds the keys that later claims of the batch may look up; blind
	// those that nothing reads before the commit, which need no index.
	recall, blind *pebble.Batch
	// recollection is an iterator of recall, opened for the first key that seek wants.
	recollection *pebble.Iterator
	// sources are those of the batch's new claims, whose keys are in blind.
	sources  map[assertion.Hash]struct{}
	buckets  map[string]*bucket  // touched buckets by key; written at Commit
	disputes map[string]*dispute // touched questions by key; written at Commit
	head     *head               // as if the batch were committed now; the views' from then on
	closed   bool
}

// writer is what batches hand on to each other.
type writer struct {
	busy     atomic.Bool // a batch is open
	head     *head       // as committed
	elements *expander   // of claims
	entries  *expander   // of the rest
	written  uint64      // bytes committed since the index was opened
}

// NewBatch begins a batch. Only one may be open at a time, and it must be closed
// before the index is.
func (d *DB) NewBatch() (*Batch, error) {
	if !d.writer.busy.CompareAndSwap(false, true) {
		return nil, errors.New("begin a batch: another one is open, and the index has one writer")
	}
	next := *d.writer.head
	return &Batch{
		db: d, recall: d.db.NewIndexedBatch(), blind: d.db.NewBatch(),
		sources: map[assertion.Hash]struct{}{}, buckets: map[string]*bucket{}, disputes: map[string]*dispute{}, head: &next,
	}, nil
}

// Close releases a batch, committed or not. Closing it again does nothing.
func (b *Batch) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	var err error
	if b.recollection != nil {
		err = b.db.explain(b.recollection.Close())
	}
	err = errors.Join(err, b.recall.Close(), b.blind.Close())
	b.db.writer.busy.Store(false)
	return err
}

// SetClusterID names the cluster. The first name stays: a later one is ignored,
// since every node ignores it alike.
func (b *Batch) SetClusterID(id string) error {
	if b.head.cluster != "" {
		return nil
	}
	b.head.cluster = id
	return b.blind.Set(keyClusterID, []byte(id), nil)
}

// RaiseFormat sets the command format that the cluster writes; it never falls.
func (b *Batch) RaiseFormat(format uint16) error {
	if format <= b.head.format {
		return nil
	}
	b.head.format = format
	return b.blind.Set(keyFormat, binary.BigEndian.AppendUint16(nil, format), nil)
}

// Format is the command format that the cluster writes after this batch.
func (b *Batch) Format() uint16 { return b.head.format }

// RenameCluster gives the cluster another name, for a recovery that makes a new
// cluster of one node's data; never while a log is applied.
func (b *Batch) RenameCluster(id string) error {
	b.head.cluster = id
	return b.blind.Set(keyClusterID, []byte(id), nil)
}

// Applied returns the last entry that SetApplied has set.
func (b *Batch) Applied() Applied { return b.head.applied }

// SetApplied records the entry up to which the batch holds everything.
func (b *Batch) SetApplied(a Applied) { b.head.applied = a }

// Digest is the digest of the records as if the batch were committed now.
func (b *Batch) Digest() assertion.Hash { return b.head.digest.Sum() }

// Count is the number of claims as if the batch were committed now.
func (b *Batch) Count() uint64 { return b.head.count }

// seek is get for a key that is most likely not there.
func (b *Batch) seek(key []byte) (value []byte, err error) {
	if b.recollection == nil {
		b.recollection, err = b.recall.NewIter(&unlikely)
		if err != nil {
			return nil, b.db.explain(err)
		}
	} else {
		b.recollection.SetOptions(&unlikely) // shows what was written to recall meanwhile
	}
	return b.db.seek(b.recollection, key)
}

// Commit makes the batch visible at once. It does not wait for the disk. The
// batch then only remains to be closed.
func (b *Batch) Commit() error {
	for k, bucket := range b.buckets {
		if err := b.writeBucket([]byte(k), bucket); err != nil {
			return err
		}
	}
	if err := b.writeDisputes(); err != nil {
		return err
	}
	if err := b.head.write(b.blind); err != nil {
		return err
	}
	if err := b.blind.Apply(b.recall, nil); err != nil {
		return fmt.Errorf("commit to the index: %w", err)
	}
	b.db.head.Store(nil)
	if err := b.blind.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("commit to the index: %w", b.db.explain(err))
	}
	b.db.writer.head = b.head
	b.db.head.Store(b.head)
	b.db.commits.Add(1)
	return b.db.flushFirst(b.blind.Len())
}

// flushFirst begins the flush of FirstFlushBytes.
func (d *DB) flushFirst(written int) error {
	before := d.writer.written
	if d.writer.written += uint64(written); before >= d.options.FirstFlushBytes || d.writer.written < d.options.FirstFlushBytes {
		return nil
	}
	if _, err := d.db.AsyncFlush(); err != nil {
		return fmt.Errorf("flush the index: %w", d.explain(err))
	}
	return nil
}

// Assert stores a claim, adds its signers to the one that is there, or refuses
// it. The claim must be normalised, valid and verified, and h its content hash;
// admission is what the node that took it in decided on it. An error means that
// the index can no longer be trusted.
func (b *Batch) Assert(a *assertion.Assertion, h assertion.Hash, c assertion.Commit, admission assertion.Admission) (Outcome, error) {
	raw, err := b.seek(hashKey(h))
	if err == nil {
		at, err := b.db.place(h, raw)
		if err != nil {
			return 0, err
		}
		return b.cosign(at, a, c, admission)
	}
	if !errors.Is(err, pebble.ErrNotFound) {
		return 0, err
	}
	var parent *storedClaim
	ruling := ""
	if a.ParentHash != nil {
		parent, err = b.find(*a.ParentHash)
		if errors.Is(err, pebble.ErrNotFound) {
			return ParentNotFound, nil
		}
		if err != nil {
			return 0, err
		}
		outcome := judgeTransition(&parent.claim, a)
		if outcome == NotOwner && admission.Authority != "" {
			outcome, ruling = Created, admission.Authority
		}
		if outcome != Created {
			return outcome, nil
		}
	}
	if outcome, err := b.spend(&admission, c.At); err != nil || outcome != Created {
		return outcome, err
	}
	s := &storedClaim{seq: newSeq(c.Position)}
	s.claim = assertion.Claim{Assertion: *a, Hash: h, Commit: c, Stage: a.Lifecycle, Findings: admission.Findings, Authority: ruling}
	if admission.Quarantine {
		s.claim.Review = assertion.ReviewPending
	}
	s.claim.Signatures = slices.Clone(a.Signatures)
	for range a.Signatures {
		s.claim.SignatureCommits = append(s.claim.SignatureCommits, c)
	}
	if err := b.create(s); err != nil {
		return 0, err
	}
	if parent != nil {
		if err := b.transition(parent, s); err != nil {
			return 0, err
		}
	}
	if s.claim.Review.Hides() {
		return Quarantined, nil
	}
	return Created, nil
}

// judgeTransition lets only an owner of a claim move it to another stage, unless
// an administrator has ruled on it, by a claim that says the same: it would else
// decide on something that it is not about.
func judgeTransition(parent *assertion.Claim, a *assertion.Assertion) Outcome {
	switch {
	case a.Subject != parent.Subject, a.Predicate != parent.Predicate, a.Object != parent.Object, a.SourceHash != parent.SourceHash:
		return ParentDiffers
	case parent.Ruled, !slices.ContainsFunc(a.Signatures, func(s assertion.Signature) bool { return parent.Owner(s.AgentID) }):
		return NotOwner
	}
	return Created
}

func sharesSigner(a, b []assertion.Signature) bool {
	return slices.ContainsFunc(a, func(x assertion.Signature) bool {
		return slices.ContainsFunc(b, func(y assertion.Signature) bool { return x.AgentID == y.AgentID })
	})
}

// find returns the stored claim of a hash, or pebble.ErrNotFound.
func (b *Batch) find(h assertion.Hash) (*storedClaim, error) {
	raw, err := b.db.get(b.recall, hashKey(h))
	if err != nil {
		return nil, err
	}
	at, err := b.db.place(h, raw)
	if err != nil {
		return nil, err
	}
	return b.load(at)
}

func (b *Batch) load(s seq) (*storedClaim, error) { return b.db.load(b.recall, s) }

func (b *Batch) create(s *storedClaim) error {
	c := &s.claim
	o := s.order()
	keys := [][]byte{
		key(spaceQuestion, question(c.Subject, c.Predicate), o[:]),
		key(spacePredicate, []byte(c.Predicate), zero, o[:]),
		key(spaceSource, c.SourceHash[:], o[:]),
		key(spaceAll, o[:]),
	}
	for i := range c.Signatures {
		keys = append(keys, key(spaceAgent, c.Signatures[i].AgentID[:], o[:]))
	}
	if c.ParentHash != nil {
		keys = append(keys, childKey(*c.ParentHash, s.seq))
	}
	for _, from := range c.DerivedFrom {
		keys = append(keys, derivedKey(from, s.seq))
	}
	for _, k := range keys {
		if err := b.blind.Set(k, nil, nil); err != nil {
			return err
		}
	}
	if err := b.noteReview(s, assertion.NotQuarantined); err != nil {
		return err
	}
	if err := b.recall.Set(hashKey(c.Hash), s.seq[:], nil); err != nil {
		return err
	}
	b.sources[c.SourceHash] = struct{}{}
	b.head.count++
	if err := b.save(s); err != nil {
		return err
	}
	if !c.Visible() {
		return nil
	}
	for i := range c.Signatures {
		if err := b.addVoice(s, c.Signatures[i].AgentID); err != nil {
			return err
		}
	}
	return nil
}

// forget takes a stored claim out of the digest, before a change to it.
func (b *Batch) forget(s *storedClaim) { b.head.digest.Remove(b.db.writer.elements.claim(&s.claim)) }

// save writes a stored claim and puts it into the digest.
func (b *Batch) save(s *storedClaim) error {
	b.head.digest.Add(b.db.writer.elements.claim(&s.claim))
	raw, err := s.encode()
	if err != nil {
		return err
	}
	return b.recall.Set(claimKey(s.seq), raw, nil)
}

// cosign adds the signers of a that the stored claim does not have yet. A
// co-signature cannot be quarantined by itself: one that the content defence
// would quarantine is refused, unless a reviewer has approved the claim. One that
// it passes ends a quarantine that nobody has decided on: its signer could state
// the same in other words, and nobody can hide a claim by stating it first.
func (b *Batch) cosign(at seq, a *assertion.Assertion, c assertion.Commit, admission assertion.Admission) (Outcome, error) {
	s, err := b.load(at)
	if err != nil {
		return 0, err
	}
	var fresh []assertion.Signature
	for _, signature := range a.Signatures {
		if !sharesSigner(s.claim.Signatures, []assertion.Signature{signature}) {
			fresh = append(fresh, signature)
		}
	}
	v2 := slices.ContainsFunc(s.claim.Signatures, func(x assertion.Signature) bool { return x.Version != assertion.SignatureV1 })
	switch {
	case len(fresh) == 0 && s.claim.Review.Hides():
		return Held, nil
	case len(fresh) == 0:
		return Exists, nil
	case fresh[0].Version == assertion.SignatureV1 && v2:
		return V1Cosign, nil
	case len(fresh)+len(s.claim.Signatures) > assertion.MaxSignatures:
		return TooManySigners, nil
	case admission.Quarantine && s.claim.Review != assertion.ReviewApproved:
		return Unreviewable, nil
	}
	if outcome, err := b.spend(&admission, c.At); err != nil || outcome != Created {
		return outcome, err
	}
	if s.claim.Review == assertion.ReviewPending {
		if err := b.release(s, len(s.claim.Signatures)); err != nil {
			return 0, err
		}
	}
	b.forget(s)
	for _, signature := range fresh {
		s.claim.Signatures = append(s.claim.Signatures, signature)
		s.claim.SignatureCommits = append(s.claim.SignatureCommits, c)
	}
	if err := b.save(s); err != nil {
		return 0, err
	}
	if err := b.noteCosignature(s, fresh, c); err != nil {
		return 0, err
	}
	o := s.order()
	for _, signature := range fresh {
		if err := b.blind.Set(key(spaceAgent, signature.AgentID[:], o[:]), nil, nil); err != nil {
			return 0, err
		}
		if s.claim.Visible() {
			if err := b.addVoice(s, signature.AgentID); err != nil {
				return 0, err
			}
		}
	}
	if s.claim.Review.Hides() { // a reviewer has rejected it
		return Quarantined, nil
	}
	return Cosigned, nil
}

// transition gives the parent the child's stage.
func (b *Batch) transition(parent, child *storedClaim) error {
	return b.change(parent, func() {
		parent.claim.Stage = child.claim.Lifecycle
		parent.claim.Ruled = parent.claim.Ruled || child.claim.Authority != ""
		parent.moved = true
	})
}

// change rewrites a stored claim, and adds or removes its voices if that shows
// or hides it.
func (b *Batch) change(s *storedClaim, edit func()) error {
	was := s.claim.Visible()
	b.forget(s)
	edit()
	if err := b.save(s); err != nil {
		return err
	}
	for i := range s.claim.Signatures {
		agent := s.claim.Signatures[i].AgentID
		var err error
		switch now := s.claim.Visible(); {
		case was && !now:
			err = b.removeVoice(s, agent)
		case !was && now:
			err = b.addVoice(s, agent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
