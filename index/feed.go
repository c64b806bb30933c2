package index

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// Feed returns up to limit events after a position, in log order, of some kinds
// if any are named. What was
// there before a position never changes, so that a reader who continues from
// the last event's position, on whatever node, misses and repeats nothing. A
// claim that the content defence hides is no event; the decision that shows it
// is one, and from then on it is also found at its own position.
func (v *View) Feed(after assertion.Position, limit int, kinds ...assertion.Kind) ([]assertion.Event, error) {
	return v.events(after, limit, false, kinds)
}

// events are those of Feed, or with all also what that conceals.
func (v *View) events(after assertion.Position, limit int, all bool, kinds []assertion.Kind) (events []assertion.Event, err error) {
	from := newSeq(after)
	wanted := func(k assertion.Kind) bool { return len(kinds) == 0 || slices.Contains(kinds, k) }
	first := from
	if !wanted(assertion.KindAssertion) {
		first = seq(bytes.Repeat([]byte{0xff}, seqLen)) // no claim is after it
	}
	claims, err := v.after(spaceClaim, first)
	if err != nil {
		return nil, err
	}
	entries, err := v.after(spaceEntry, from)
	if err != nil {
		return nil, errors.Join(err, claims.Close())
	}
	defer func() {
		err = errors.Join(err, v.db.explain(errors.Join(claims.Error(), entries.Error(), claims.Close(), entries.Close())))
	}()
	for len(events) < limit && (claims.Valid() || entries.Valid()) {
		claim := claims.Valid() && (!entries.Valid() || bytes.Compare(claims.Key()[1:], entries.Key()[1:]) < 0)
		it := entries
		if claim {
			it = claims
		}
		if !claim && !wanted(kindOf(it.Value())) {
			it.Next()
			continue
		}
		s, err := seqAtEnd(append([]byte{0}, it.Key()...))
		if err != nil {
			return nil, v.db.explain(err)
		}
		var event assertion.Event
		hidden := false
		if claim {
			if hidden = hides(it.Value()) && !all; !hidden {
				event, err = v.claimEvent(s, it.Value())
			}
		} else {
			var e assertion.Recorded[assertion.Entry]
			e, err = decodeEntry(s, it.Value())
			err = v.db.explain(err)
			event = assertion.Event{Commit: e.Commit, Entry: e.Entry, Authority: e.Authority}
			if err == nil {
				event.Kind = e.Entry.Kind()
				if !all {
					hidden, err = v.concealed(e.Entry)
				}
			}
		}
		if err != nil {
			return nil, err
		}
		if !hidden {
			events = append(events, event)
		}
		it.Next()
	}
	return events, nil
}

// after opens an iterator of a log-ordered space at the first key behind a
// sequence.
func (v *View) after(space byte, s seq) (*pebble.Iterator, error) {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: append(key(space, s[:]), 0), UpperBound: []byte{space + 1}})
	if err != nil {
		return nil, v.db.explain(err)
	}
	it.First()
	return it, nil
}

// concealed reports whether an entry is no event of the feed: who may read that
// need not know who else may, nor who signs what is hidden.
func (v *View) concealed(e assertion.Entry) (bool, error) {
	switch e := e.(type) {
	case *assertion.APIKey:
		return true, nil
	case *assertion.Cosignature:
		c, err := v.Get(e.Hash)
		return err == nil && c.Review.Hides(), err
	}
	return false, nil
}

// claimEvent takes a stored claim back to its first commit.
func (v *View) claimEvent(s seq, raw []byte) (assertion.Event, error) {
	stored, err := decodeStored(s, raw)
	if err != nil {
		return assertion.Event{}, v.db.explain(err)
	}
	c := &stored.claim
	n := 0
	for n < len(c.SignatureCommits) && c.SignatureCommits[n] == c.Commit {
		n++
	}
	c.Signatures, c.SignatureCommits = c.Signatures[:n], c.SignatureCommits[:n]
	c.Stage, c.Superseded = c.Lifecycle, false
	return assertion.Event{Commit: c.Commit, Kind: assertion.KindAssertion, Claim: c}, nil
}
