package index

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
)

// Put records an entry that is no claim, or refuses it. The entry must be
// normalised, valid and, where it is signed, verified; record is its binary
// form, admission what the node that took it in decided on it. What it replaces stays in the history. The hash is the entry's
// identity: of a source and its status the source's, of what is computed that
// of the data, of an unsigned entry that of its record. An error means that the
// index can no longer be trusted.
func (b *Batch) Put(e assertion.Entry, record []byte, c assertion.Commit, admission assertion.Admission) (Outcome, assertion.Hash, error) {
	hash := identity(e, record)
	if e.Kind() == assertion.KindClock {
		return Created, hash, nil // its commit time is all that it is
	}
	outcome, err := b.judge(e, hash, record)
	ruling := ""
	switch e.Kind() {
	case assertion.KindSourceStatus, assertion.KindAlias, assertion.KindLabel, assertion.KindSeeds: // nobody owns what these decide on
		ruling = admission.Authority
	}
	if err == nil && outcome == NotOwner && admission.Authority != "" {
		outcome, ruling = Created, admission.Authority
	}
	if err == nil && outcome == Created {
		outcome, err = b.spend(&admission, c.At)
	}
	if err != nil || outcome != Created {
		return outcome, hash, err
	}
	s := newSeq(c.Position)
	if err := b.append(e, record, s, c.At, ruling); err != nil {
		return 0, hash, err
	}
	switch e.Kind() {
	case assertion.KindLabel, assertion.KindEndorsement, assertion.KindSeeds:
		if err := b.blind.Set(keyTrust, s[:], nil); err != nil {
			return 0, hash, err
		}
	}
	return Created, hash, b.takeEffect(e)
}

func identity(e assertion.Entry, record []byte) assertion.Hash {
	switch e := e.(type) {
	case interface{ Hash() assertion.Hash }:
		return e.Hash()
	case *assertion.Source:
		return e.Hash
	case *assertion.SourceStatus:
		return e.Source
	case *assertion.Computed:
		return blake3.Sum256(e.Data)
	}
	return blake3.Sum256(record)
}

// append writes an entry and the keys that find it.
func (b *Batch) append(e assertion.Entry, record []byte, s seq, at uint64, authority string) error {
	b.head.digest.Add(b.db.writer.entries.entry(e.Kind(), record, authority))
	for _, k := range lookups(e, s) {
		if err := b.recall.Set(k, nil, nil); err != nil {
			return err
		}
	}
	return b.recall.Set(key(spaceEntry, s[:]), encodeEntry(e.Kind(), at, record, authority), nil)
}

// noteCosignature records that signers joined a claim. It is an event of the
// history; the digest has the signatures with the claim.
func (b *Batch) noteCosignature(s *storedClaim, fresh []assertion.Signature, c assertion.Commit) error {
	a := s.claim.Assertion
	a.Signatures = fresh
	record, err := a.MarshalBinary()
	if err != nil {
		return err
	}
	q := newSeq(c.Position)
	return b.blind.Set(key(spaceEntry, q[:]), encodeEntry(assertion.KindCosignature, c.At, record, ""), nil)
}

// judge decides what becomes of an entry.
func (b *Batch) judge(e assertion.Entry, hash assertion.Hash, record []byte) (Outcome, error) {
	switch e := e.(type) {
	case *assertion.Vote:
		return b.judgeSigned(hash, func() (Outcome, error) { return b.exists(e.AssertionHash) })
	case *assertion.Endorsement:
		return b.judgeSigned(hash, func() (Outcome, error) { return Created, nil })
	case *assertion.Epoch:
		return b.judgeSigned(hash, func() (Outcome, error) { return b.judgeEpoch(e) })
	case *assertion.Supersession:
		return b.judgeSigned(hash, func() (Outcome, error) { return b.judgeSupersession(e) })
	case *assertion.SourceStatus:
		return b.judgeStatus(e, record)
	case *assertion.APIKey:
		return b.judgeAPIKey(e, record)
	case *assertion.Decision:
		return b.judgeDecision(e)
	}
	// The rest has a newest record, which the same one again does not change.
	keys := lookups(e, seq{})
	prefix := keys[0][:len(keys[0])-seqLen]
	return b.unlessCurrent(prefix, e.Kind(), record)
}

// unlessCurrent is Exists if the newest entry below a prefix has the record.
func (b *Batch) unlessCurrent(prefix []byte, k assertion.Kind, record []byte) (Outcome, error) {
	newest, found, err := b.newest(prefix)
	if err != nil || !found {
		return Created, err
	}
	held, err := newest.Entry.MarshalBinary()
	if err != nil {
		return 0, err
	}
	if newest.Entry.Kind() == k && string(held) == string(record) {
		return Exists, nil
	}
	return Created, nil
}

// newest returns the entry of the highest sequence below a prefix.
func (b *Batch) newest(prefix []byte) (e assertion.Recorded[assertion.Entry], found bool, err error) {
	it, err := b.recall.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return e, false, b.db.explain(err)
	}
	var s seq
	if found = it.Last(); found {
		s, err = seqAtEnd(it.Key())
	}
	if err := b.db.explain(errors.Join(err, it.Error(), it.Close())); err != nil || !found {
		return e, false, err
	}
	e, err = b.db.entryAt(b.recall, s)
	return e, true, err
}

// judgeSigned is Exists for an entry that is there already.
func (b *Batch) judgeSigned(hash assertion.Hash, judge func() (Outcome, error)) (Outcome, error) {
	_, found, err := b.signed(hash)
	if err != nil {
		return 0, err
	}
	if found {
		return Exists, nil
	}
	return judge()
}

// signed returns a signed entry by its hash.
func (b *Batch) signed(hash assertion.Hash) (assertion.Recorded[assertion.Entry], bool, error) {
	return b.newest(lookup(aboutHash, hash[:]))
}

// exists is Created if the claim is there.
func (b *Batch) exists(claim assertion.Hash) (Outcome, error) {
	_, err := b.db.get(b.recall, hashKey(claim))
	if errors.Is(err, pebble.ErrNotFound) {
		return TargetNotFound, nil
	}
	return Created, err
}

// judgeEpoch lets only an epoch's own agent supersede it.
func (b *Batch) judgeEpoch(e *assertion.Epoch) (Outcome, error) {
	if e.Supersedes == nil {
		return Created, nil
	}
	older, found, err := b.signed(*e.Supersedes)
	if err != nil {
		return 0, err
	}
	epoch, ok := older.Entry.(*assertion.Epoch)
	switch {
	case !found || !ok:
		return TargetNotFound, nil
	case epoch.AgentID != e.AgentID:
		return NotOwner, nil
	}
	return Created, nil
}

// judgeSupersession lets only an owner of a claim supersede it.
func (b *Batch) judgeSupersession(e *assertion.Supersession) (Outcome, error) {
	target, err := b.find(e.Superseded)
	if errors.Is(err, pebble.ErrNotFound) {
		return TargetNotFound, nil
	}
	if err != nil {
		return 0, err
	}
	if e.By != nil {
		if outcome, err := b.exists(*e.By); err != nil || outcome != Created {
			return outcome, err
		}
	}
	if !target.claim.Owner(e.AgentID) {
		return NotOwner, nil
	}
	return Created, nil
}

// judgeStatus wants a source that is registered or that a claim rests on.
// Reinstating one that was never retracted changes nothing.
func (b *Batch) judgeStatus(e *assertion.SourceStatus, record []byte) (Outcome, error) {
	prefix := lookup(aboutStatus, e.Source[:])
	_, found, err := b.newest(prefix)
	switch {
	case err != nil:
		return 0, err
	case found:
		return b.unlessCurrent(prefix, e.Kind(), record)
	case !e.Retracted:
		return Exists, nil
	}
	if _, cited := b.sources[e.Source]; cited {
		return Created, nil
	}
	for _, prefix := range [][]byte{lookup(aboutSource, e.Source[:]), key(spaceSource, e.Source[:])} {
		if found, err := b.any(prefix); err != nil || found {
			return Created, err
		}
	}
	return TargetNotFound, nil
}

// any reports whether there is a key below a prefix.
func (b *Batch) any(prefix []byte) (found bool, err error) {
	it, err := b.recall.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return false, b.db.explain(err)
	}
	found = it.First()
	return found, b.db.explain(errors.Join(it.Error(), it.Close()))
}

// takeEffect changes the claims and sets that an entry bears on.
func (b *Batch) takeEffect(e assertion.Entry) error {
	switch e := e.(type) {
	case *assertion.Supersession:
		if !e.Type.Hides() {
			return nil
		}
		target, err := b.find(e.Superseded)
		if err != nil || target.claim.Superseded {
			return err
		}
		return b.change(target, func() { target.claim.Superseded = true })
	case *assertion.Decision:
		return b.decide(e)
	case *assertion.SourceStatus:
		k := lookup(aboutRetracted, e.Source[:])
		if e.Retracted {
			return b.recall.Set(k, nil, nil)
		}
		return b.recall.Delete(k, nil)
	}
	return nil
}

// judgeAPIKey lets a state follow only from the one with the revision before
// it, so that of two changes at once one is refused, and lets none follow from
// a revocation.
func (b *Batch) judgeAPIKey(k *assertion.APIKey, record []byte) (Outcome, error) {
	prefix := lookup(aboutAPIKey, []byte(k.ID), zero)
	newest, found, err := b.newest(prefix)
	if err != nil {
		return 0, err
	}
	if !found {
		if k.Revision != 1 {
			return Outdated, nil
		}
		return Created, nil
	}
	held, ok := newest.Entry.(*assertion.APIKey)
	if ok && !held.Revoked && k.Revision == held.Revision+1 {
		return Created, nil
	}
	outcome, err := b.unlessCurrent(prefix, k.Kind(), record)
	if outcome == Created {
		outcome = Outdated
	}
	return outcome, err
}
