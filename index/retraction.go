package index

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// retraction is the part of a question that rests on retracted sources.
type retraction struct {
	sources map[assertion.Hash]struct{}
	// parts are the voices' contributions, by value and class.
	parts map[bucketClass][]contribution
}

type bucketClass struct {
	value assertion.Hash
	class assertion.SourceClass
}

// has reports whether a member key ends in a retracted source.
func (r *retraction) has(member []byte) bool {
	if r == nil {
		return false
	}
	_, ok := r.sources[assertion.Hash(member[len(member)-len(assertion.Hash{}):])]
	return ok
}

// retractedVoices finds the voices on a question whose source is retracted; nil
// if there are none. It walks the retracted sources and the question's sources
// side by side, each skipping to the next that the other has, so that it costs
// as much as the smaller of the two.
func (v *View) retractedVoices(q []byte) (*retraction, error) {
	retracted := lookup(aboutRetracted)
	voices := key(spaceCurrent, q)
	sources, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: retracted, UpperBound: upperBound(retracted)})
	if err != nil {
		return nil, v.db.explain(err)
	}
	if !sources.First() {
		return nil, v.db.explain(errors.Join(sources.Error(), sources.Close()))
	}
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: voices, UpperBound: upperBound(voices)})
	if err != nil {
		return nil, v.db.explain(errors.Join(err, sources.Close()))
	}
	gone, err := v.leapfrog(sources, it, len(retracted), len(voices))
	return gone, v.db.explain(errors.Join(err, sources.Error(), it.Error(), sources.Close(), it.Close()))
}

func (v *View) leapfrog(sources, voices *pebble.Iterator, sourceAt, voiceAt int) (*retraction, error) {
	const size = len(assertion.Hash{})
	var gone *retraction
	more := voices.First()
	for more {
		if len(voices.Key()) != voiceAt+2*size || len(sources.Key()) != sourceAt+size {
			return nil, fmt.Errorf("%w: voice key %x", ErrCorrupt, voices.Key())
		}
		source, retracted := voices.Key()[voiceAt:voiceAt+size], sources.Key()[sourceAt:]
		switch c := bytes.Compare(source, retracted); {
		case c < 0:
			more = voices.SeekGE(append(bytes.Clone(voices.Key()[:voiceAt]), retracted...))
		case c > 0:
			if !sources.SeekGE(append(bytes.Clone(sources.Key()[:sourceAt]), source...)) {
				return gone, nil
			}
		default:
			if gone == nil {
				gone = &retraction{sources: map[assertion.Hash]struct{}{}, parts: map[bucketClass][]contribution{}}
			}
			gone.sources[assertion.Hash(source)] = struct{}{}
			if err := v.addGone(gone, voices.Value()); err != nil {
				return nil, err
			}
			more = voices.Next()
		}
	}
	return gone, nil
}

// addGone notes what the current claim of a retracted voice contributes.
func (v *View) addGone(gone *retraction, current []byte) error {
	c, err := decodeCurrent(current, v.stored)
	if err != nil {
		return err
	}
	at := bucketClass{c.value, c.class}
	gone.parts[at] = append(gone.parts[at], c.part)
	return nil
}

// takeRetracted removes the retracted voices from a bucket that was read.
func (v *View) takeRetracted(q, value []byte, b *bucket, gone *retraction) error {
	if gone == nil {
		return nil
	}
	for _, class := range assertion.SourceClasses() {
		parts := gone.parts[bucketClass{assertion.Hash(value), class}]
		if len(parts) == 0 {
			continue
		}
		t := &b.tiers[class]
		if uint64(len(parts)) > t.voices {
			return v.db.explain(fmt.Errorf("%w: %d retracted voices in a bucket of %d", ErrCorrupt, len(parts), t.voices))
		}
		for _, part := range parts {
			if err := t.sum.remove(part); err != nil {
				return v.db.explain(err)
			}
		}
		if t.voices -= uint64(len(parts)); t.voices == 0 {
			continue
		}
		newest, err := v.newestMember(key(spaceMember, q, value, []byte{byte(class)}), gone)
		if err != nil {
			return err
		}
		t.newest = newest
	}
	return nil
}

// newestMember is the newest timestamp among a bucket's members that are left.
func (v *View) newestMember(prefix []byte, gone *retraction) (timestamp uint64, err error) {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return 0, v.db.explain(err)
	}
	defer func() { err = v.db.explain(errors.Join(err, it.Error(), it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Key()) < len(prefix)+orderLen {
			return 0, fmt.Errorf("%w: member key %x", ErrCorrupt, it.Key())
		}
		if !gone.has(it.Key()) {
			return order(it.Key()[len(prefix) : len(prefix)+orderLen]).timestamp(), nil
		}
	}
	return 0, fmt.Errorf("%w: a bucket's members are all retracted and its voices are not", ErrCorrupt)
}

// isRetracted reports whether a source is retracted, as was known.
func (v *View) isRetracted(source assertion.Hash) (bool, error) {
	if held, ok := v.retracted[source]; ok {
		return held, nil
	}
	var retracted bool
	if v.known == nil {
		_, err := v.db.get(v.snapshot, lookup(aboutRetracted, source[:]))
		if err != nil && !errors.Is(err, pebble.ErrNotFound) {
			return false, err
		}
		retracted = err == nil
	} else {
		status, found, err := v.latest(lookup(aboutStatus, source[:]))
		if err != nil {
			return false, err
		}
		s, ok := status.Entry.(*assertion.SourceStatus)
		retracted = found && ok && s.Retracted
	}
	if v.retracted == nil {
		v.retracted = map[assertion.Hash]bool{}
	}
	v.retracted[source] = retracted
	return retracted, nil
}

// rewind takes a stored claim back to what was known of it; false if it was
// not known at all.
func (v *View) rewind(s *storedClaim) (known bool, err error) {
	c := &s.claim
	if c.Commit.At > *v.known {
		return false, nil
	}
	n := slices.IndexFunc(c.SignatureCommits, func(at assertion.Commit) bool { return at.At > *v.known })
	if n >= 0 {
		c.Signatures, c.SignatureCommits = c.Signatures[:n], c.SignatureCommits[:n]
	}
	if c.Review != assertion.NotQuarantined {
		if c.Review, err = v.reviewThen(s); err != nil {
			return false, err
		}
	}
	if s.moved {
		if c.Stage, err = v.stageThen(c); err != nil {
			return false, err
		}
	}
	if c.Superseded {
		all, err := v.Supersessions(c.Hash)
		if err != nil {
			return false, err
		}
		c.Superseded = slices.ContainsFunc(all, func(r assertion.Recorded[*assertion.Supersession]) bool { return r.Entry.Type.Hides() })
	}
	return true, nil
}

// stageThen is the stage that the transitions known then gave a claim.
func (v *View) stageThen(c *assertion.Claim) (assertion.Lifecycle, error) {
	stage := c.Lifecycle
	prefix := key(spaceChild, c.Hash[:])
	err := v.db.groups(v.snapshot, prefix, seqLen, func(k, _ []byte) (bool, error) {
		s, err := seqAtEnd(k)
		if err != nil {
			return false, err
		}
		child, err := v.load(s)
		if err != nil {
			return false, err
		}
		if child == nil { // in log order: no later one was known either
			return false, errStop
		}
		stage = child.Lifecycle
		return false, nil
	})
	return stage, err
}
