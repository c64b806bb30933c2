package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// judgeDecision wants a claim that was quarantined. The decision that counts
// already changes nothing.
func (b *Batch) judgeDecision(d *assertion.Decision, record []byte) (Outcome, error) {
	target, err := b.find(d.Claim)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return TargetNotFound, nil
	case err != nil:
		return 0, err
	case target.claim.Review == assertion.NotQuarantined:
		return TargetNotFound, nil
	case target.claim.Review == d.Review():
		return Exists, nil
	}
	return b.unlessCurrent(lookup(aboutDecision, d.Claim[:]), d.Kind(), record)
}

// decide lets a decision take effect on its claim.
func (b *Batch) decide(d *assertion.Decision) error {
	target, err := b.find(d.Claim)
	if err != nil {
		return err
	}
	was := target.claim.Review
	if err := b.change(target, func() { target.claim.Review = d.Review() }); err != nil {
		return err
	}
	return b.noteReview(target, was)
}

// noteReview moves a claim among the lists of reviews, from where it was, and
// marks its subject: one whose every claim is hidden is not listed.
func (b *Batch) noteReview(s *storedClaim, was assertion.Review) error {
	c, o := &s.claim, s.order()
	mark := []byte(nil)
	if c.Review.Hides() {
		mark = []byte{byte(c.Review)}
	}
	if err := b.blind.Set(key(spaceSubject, []byte(c.Subject), zero, o[:]), mark, nil); err != nil || c.Review == was {
		return err
	}
	if was == assertion.ReviewPending {
		b.head.pending--
	}
	if c.Review == assertion.ReviewPending {
		b.head.pending++
	}
	if was != assertion.NotQuarantined {
		if err := b.blind.Delete(reviewKey(was, s.seq), nil); err != nil {
			return err
		}
	}
	return b.blind.Set(reviewKey(c.Review, s.seq), nil, nil)
}

func reviewKey(r assertion.Review, s seq) []byte { return lookup(aboutReview, []byte{byte(r)}, s[:]) }

// Pending is how many quarantined claims nobody has decided on.
func (v *View) Pending() uint64 { return v.head.pending }

// Reviews returns up to limit claims in a state of review, in log order, after
// a position, as they are now.
func (v *View) Reviews(state assertion.Review, after assertion.Position, limit int) (out []*assertion.Claim, err error) {
	prefix, past := lookup(aboutReview, []byte{byte(state)}), newSeq(after)
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: append(reviewKey(state, past), 0), UpperBound: upperBound(prefix)})
	if err != nil {
		return nil, v.db.explain(err)
	}
	defer func() { err = errors.Join(err, v.db.explain(errors.Join(it.Error(), it.Close()))) }()
	for ok := it.First(); ok && len(out) < limit; ok = it.Next() {
		s, err := seqAtEnd(it.Key())
		if err != nil {
			return nil, v.db.explain(err)
		}
		c, err := v.load(s)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out = append(out, c)
		}
	}
	return out, nil
}

// Decisions returns those on a claim, in log order.
func (v *View) Decisions(claim assertion.Hash) ([]assertion.Recorded[*assertion.Decision], error) {
	return all[*assertion.Decision](v, lookup(aboutDecision, claim[:]))
}

// reviewThen is the state of the review of a claim that was quarantined, as was
// known.
func (v *View) reviewThen(claim assertion.Hash) (assertion.Review, error) {
	newest, found, err := v.latest(lookup(aboutDecision, claim[:]))
	if err != nil || !found {
		return assertion.ReviewPending, err
	}
	d, ok := newest.Entry.(*assertion.Decision)
	if !ok {
		return 0, v.db.explain(fmt.Errorf("%w: a decision on %s is a %s", ErrCorrupt, claim, newest.Entry.Kind()))
	}
	return d.Review(), nil
}

// Found returns up to limit visible claims on a question in which the content
// defence found something, newest first.
func (v *View) Found(subject, predicate string, limit int) (out []*assertion.Claim, err error) {
	err = v.db.groups(v.snapshot, lookup(aboutFinding, question(subject, predicate)), orderLen, func(k, _ []byte) (bool, error) {
		if len(out) == limit {
			return false, errStop
		}
		o, err := orderAtEnd(k)
		if err != nil {
			return false, err
		}
		c, err := v.load(o.seq())
		if err == nil && c != nil && c.Visible() && !c.SourceRetracted {
			out = append(out, c)
		}
		return false, err
	})
	return out, err
}

// maxForgotten bounds the old proofs of work that one new one forgets.
const maxForgotten = 16

// spend uses up the proof of work of an admission, at a commit time. Since that
// never decreases, a proof whose window has passed can be forgotten.
func (b *Batch) spend(a *assertion.Admission, at uint64) (Outcome, error) {
	if a.Work == nil {
		return Created, nil
	}
	if !a.Work.Timely(at) {
		return WorkStale, nil
	}
	k := workKey(a.Work, a.Part)
	_, err := b.db.get(b.recall, k)
	if err == nil {
		return WorkReused, nil
	}
	if !errors.Is(err, pebble.ErrNotFound) {
		return 0, err
	}
	if err := b.forgetWork(at); err != nil {
		return 0, err
	}
	b.head.digest.add(b.db.writer.entries.entry(assertion.KindAdmitted, k, ""))
	return Created, b.recall.Set(k, nil, nil)
}

func workKey(w *assertion.Work, part uint16) []byte {
	k := binary.BigEndian.AppendUint64([]byte{spaceWork}, w.Timestamp)
	k = append(k, w.Agent[:]...)
	k = binary.BigEndian.AppendUint64(k, w.Nonce)
	return binary.BigEndian.AppendUint16(k, part)
}

// forgetWork removes the oldest proofs that can no longer be used. Each new
// proof removes more than itself, so that few are kept.
func (b *Batch) forgetWork(at uint64) error {
	if at <= assertion.WorkWindowSeconds {
		return nil
	}
	end := binary.BigEndian.AppendUint64([]byte{spaceWork}, at-assertion.WorkWindowSeconds)
	it, err := b.recall.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceWork}, UpperBound: end})
	if err != nil {
		return b.db.explain(err)
	}
	var old [][]byte
	for ok := it.First(); ok && len(old) < maxForgotten; ok = it.Next() {
		old = append(old, append([]byte(nil), it.Key()...))
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return b.db.explain(err)
	}
	for _, k := range old {
		b.head.digest.remove(b.db.writer.entries.entry(assertion.KindAdmitted, k, ""))
		if err := b.recall.Delete(k, nil); err != nil {
			return err
		}
	}
	return nil
}
