package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/lthash"
)

// judgeDecision wants a claim that was quarantined. The decision that counts
// already changes nothing.
func (b *Batch) judgeDecision(d *assertion.Decision) (Outcome, error) {
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
	return Created, nil
}

// decide lets a decision take effect on its claim.
func (b *Batch) decide(d *assertion.Decision) error {
	target, err := b.find(d.Claim)
	if err != nil {
		return err
	}
	return b.review(target, func() { target.claim.Review = d.Review() })
}

// release ends a quarantine by the signature that comes next.
func (b *Batch) release(s *storedClaim, signature int) error {
	return b.review(s, func() {
		s.claim.Review = assertion.ReviewApproved
		s.releasedBy = signature
	})
}

// review changes the review of a claim.
func (b *Batch) review(s *storedClaim, to func()) error {
	was := s.claim.Review
	if err := b.change(s, to); err != nil {
		return err
	}
	return b.noteReview(s, was)
}

// noteReview moves a claim among the lists of reviews, from where it was. It
// marks the subject of one that is hidden, so that it is not listed if every
// claim on it is, and keeps findings of those only that are not.
func (b *Batch) noteReview(s *storedClaim, was assertion.Review) error {
	c, o := &s.claim, s.order()
	mark := []byte(nil)
	if c.Review.Hides() {
		mark = []byte{byte(c.Review)}
	}
	if err := b.blind.Set(key(spaceSubject, []byte(c.Subject), zero, o[:]), mark, nil); err != nil {
		return err
	}
	if len(c.Findings) > 0 {
		value := c.Object.Key()
		found := lookup(aboutFinding, question(c.Subject, c.Predicate), value[:], o[:])
		note := b.blind.Set(found, nil, nil)
		if c.Review.Hides() {
			note = b.blind.Delete(found, nil)
		}
		if note != nil {
			return note
		}
	}
	if c.Review == was {
		return nil
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
func (v *View) reviewThen(s *storedClaim) (assertion.Review, error) {
	newest, found, err := v.latest(lookup(aboutDecision, s.claim.Hash[:]))
	switch {
	case err != nil:
		return 0, err
	case !found && s.releasedBy > 0 && s.releasedBy < len(s.claim.Signatures): // of those known then
		return assertion.ReviewApproved, nil
	case !found:
		return assertion.ReviewPending, nil
	}
	d, ok := newest.Entry.(*assertion.Decision)
	if !ok {
		return 0, v.db.explain(fmt.Errorf("%w: a decision on %s is a %s", ErrCorrupt, s.claim.Hash, newest.Entry.Kind()))
	}
	return d.Review(), nil
}

// The bounds of Found: the values, and the newest claims of each.
const (
	maxFoundValues = 1000
	maxFoundClaims = 16
)

// Found returns the newest visible claims on a question in which the content
// defence found something, up to 16 for each of up to 1,000 values.
func (v *View) Found(subject, predicate string) (out []*assertion.Claim, err error) {
	values, claims := 0, 0
	var last []byte
	prefix := lookup(aboutFinding, question(subject, predicate))
	err = v.db.groups(v.snapshot, prefix, orderLen, func(k, _ []byte) (bool, error) {
		if value := k[:len(k)-orderLen]; !bytes.Equal(value, last) {
			if values++; values > maxFoundValues {
				return false, errStop
			}
			last, claims = bytes.Clone(value), 0
		}
		o, err := orderAtEnd(k)
		if err != nil {
			return false, err
		}
		c, err := v.load(o.seq())
		if err == nil && c != nil && c.Visible() && !c.SourceRetracted {
			out = append(out, c)
		}
		claims++
		return claims == maxFoundClaims, err
	})
	return out, err
}

// maxForgotten bounds the old proofs of work that one new one forgets.
const maxForgotten = 16

// spend uses up the proof of work of an admission, at a commit time: it admits
// the entries of one request, which have one tag. Since commit times never
// decrease, a proof whose window has passed can be forgotten.
func (b *Batch) spend(a *assertion.Admission, at uint64) (Outcome, error) {
	if a.Work == nil {
		return Created, nil
	}
	if !a.Work.Timely(at) {
		return WorkStale, nil
	}
	k := workKey(a.Work)
	tag := binary.BigEndian.AppendUint64(nil, a.Tag)
	held, err := b.db.get(b.recall, k)
	if err == nil && bytes.Equal(held, tag) {
		return Created, nil
	}
	if err == nil {
		return WorkReused, nil
	}
	if !errors.Is(err, pebble.ErrNotFound) {
		return 0, err
	}
	if err := b.forgetWork(at); err != nil {
		return 0, err
	}
	b.head.digest.Add(b.workElement(k, tag))
	return Created, b.recall.Set(k, tag, nil)
}

// workElement is what the digest has of a proof of work.
func (b *Batch) workElement(k, tag []byte) *lthash.Element {
	return b.db.writer.entries.entry(assertion.KindAdmitted, k, string(tag))
}

func workKey(w *assertion.Work) []byte {
	k := binary.BigEndian.AppendUint64([]byte{spaceWork}, w.Timestamp)
	k = append(k, w.Agent[:]...)
	return binary.BigEndian.AppendUint64(k, w.Nonce)
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
	var old, tags [][]byte
	for ok := it.First(); ok && len(old) < maxForgotten; ok = it.Next() {
		old, tags = append(old, bytes.Clone(it.Key())), append(tags, bytes.Clone(it.Value()))
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return b.db.explain(err)
	}
	for i, k := range old {
		b.head.digest.Remove(b.workElement(k, tags[i]))
		if err := b.recall.Delete(k, nil); err != nil {
			return err
		}
	}
	return nil
}
