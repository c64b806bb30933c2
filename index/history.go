package index

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// KnownAt makes the view show what was committed at or before a time, unix
// seconds: claims, signatures, stages, supersessions, retractions, votes and
// everything else. Count, Digest and Applied stay those of the newest state.
// What it shows never changes later if Applied().CommittedAt is above the time.
func (v *View) KnownAt(at uint64) {
	v.known = &at
	v.retracted = nil
}

// knew reports whether a commit had been made.
func (v *View) knew(c assertion.Commit) bool { return v.known == nil || c.At <= *v.known }

// latest returns the newest entry below a prefix of keys that end in a
// sequence, as was known.
func (v *View) latest(prefix []byte) (e assertion.Recorded[assertion.Entry], found bool, err error) {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return e, false, v.db.explain(err)
	}
	defer func() { err = errors.Join(err, v.db.explain(errors.Join(it.Error(), it.Close()))) }()
	for ok := it.Last(); ok; ok = it.Prev() {
		s, err := seqAtEnd(it.Key())
		if err != nil {
			return e, false, err
		}
		if e, err = v.db.entryAt(v.snapshot, s); err != nil {
			return e, false, err
		}
		if v.knew(e.Commit) {
			return e, true, nil
		}
	}
	return e, false, nil
}

// all returns every entry below a prefix of keys that end in a sequence, as was
// known, in log order within each group of keys.
func all[E assertion.Entry](v *View, prefix []byte) (out []assertion.Recorded[E], err error) {
	err = v.db.groups(v.snapshot, prefix, seqLen, func(k, _ []byte) (bool, error) {
		s, err := seqAtEnd(k)
		if err != nil {
			return false, err
		}
		e, ok, err := entryOf[E](v, s)
		if ok {
			out = append(out, e)
		}
		return false, err
	})
	return out, err
}

// entryOf returns the entry of a sequence; false if it was not known.
func entryOf[E assertion.Entry](v *View, s seq) (r assertion.Recorded[E], ok bool, err error) {
	e, err := v.db.entryAt(v.snapshot, s)
	if err != nil || !v.knew(e.Commit) {
		return r, false, err
	}
	entry, is := e.Entry.(E)
	if !is {
		return r, false, v.db.explain(fmt.Errorf("%w: entry %x is a %s", ErrCorrupt, s, e.Entry.Kind()))
	}
	return assertion.Recorded[E]{Entry: entry, Commit: e.Commit, Authority: e.Authority}, true, nil
}

// newestOfEach returns the newest entry, by timestamp and not later than until,
// of each group of keys that end in an order, as was known.
func newestOfEach[E assertion.Entry](v *View, prefix []byte, until uint64) (out []assertion.Recorded[E], err error) {
	err = v.db.groups(v.snapshot, prefix, orderLen, func(k, _ []byte) (bool, error) {
		o, err := orderAtEnd(k)
		if err != nil || o.timestamp() > until {
			return false, err
		}
		e, ok, err := entryOf[E](v, o.seq())
		if ok {
			out = append(out, e)
		}
		return ok, err
	})
	return out, err
}

// Votes returns the newest vote of each agent on a claim that is not later than
// until, unix seconds, by agent.
func (v *View) Votes(claim assertion.Hash, until uint64) ([]assertion.Recorded[*assertion.Vote], error) {
	return newestOfEach[*assertion.Vote](v, lookup(aboutVote, claim[:]), until)
}

// Endorsements returns the newest endorsement of each pair of agents, by
// endorsing and then by endorsed agent; of one agent if it is not nil.
func (v *View) Endorsements(by *assertion.AgentID) ([]assertion.Recorded[*assertion.Endorsement], error) {
	prefix := lookup(aboutEndorsement)
	if by != nil {
		prefix = lookup(aboutEndorsement, by[:])
	}
	return newestOfEach[*assertion.Endorsement](v, prefix, math.MaxUint64)
}

// Epoch returns an epoch by its hash, or ErrNotFound.
func (v *View) Epoch(h assertion.Hash) (assertion.Recorded[*assertion.Epoch], error) {
	e, found, err := v.latest(lookup(aboutHash, h[:]))
	if err != nil {
		return assertion.Recorded[*assertion.Epoch]{}, err
	}
	epoch, ok := e.Entry.(*assertion.Epoch)
	if !found || !ok {
		return assertion.Recorded[*assertion.Epoch]{}, fmt.Errorf("%w: no epoch %s", ErrNotFound, h)
	}
	return assertion.Recorded[*assertion.Epoch]{Entry: epoch, Commit: e.Commit, Authority: e.Authority}, nil
}

// SupersededEpochs returns the epochs whose claims a later epoch replaces or
// retracts, each with the first one that does.
func (v *View) SupersededEpochs() (map[assertion.Hash]assertion.Hash, error) {
	epochs, err := all[*assertion.Epoch](v, lookup(aboutEpoch))
	if err != nil {
		return nil, err
	}
	superseded := make(map[assertion.Hash]assertion.Hash, len(epochs))
	for _, e := range epochs {
		if _, known := superseded[*e.Entry.Supersedes]; !known && e.Entry.SupersessionType.Hides() {
			superseded[*e.Entry.Supersedes] = e.Entry.Hash()
		}
	}
	return superseded, nil
}

// Supersessions returns those that name a claim, in log order.
func (v *View) Supersessions(claim assertion.Hash) ([]assertion.Recorded[*assertion.Supersession], error) {
	return all[*assertion.Supersession](v, lookup(aboutSupersession, claim[:]))
}

// Transitions returns the claims that name a claim as their parent, in log
// order.
func (v *View) Transitions(claim assertion.Hash) ([]*assertion.Claim, error) {
	return v.claimsBelow(key(spaceChild, claim[:]), math.MaxInt)
}

// Derived returns up to limit claims that name a claim in derived_from, in log
// order.
func (v *View) Derived(claim assertion.Hash, limit int) ([]*assertion.Claim, error) {
	return v.claimsBelow(key(spaceDerived, claim[:]), limit)
}

// claimsBelow returns up to limit claims that keys ending in a sequence point
// to.
func (v *View) claimsBelow(prefix []byte, limit int) (out []*assertion.Claim, err error) {
	err = v.db.groups(v.snapshot, prefix, seqLen, func(k, _ []byte) (bool, error) {
		if len(out) == limit {
			return false, errStop
		}
		s, err := seqAtEnd(k)
		if err != nil {
			return false, err
		}
		c, err := v.load(s)
		if c != nil {
			out = append(out, c)
		}
		return false, err
	})
	return out, err
}

// Source returns what is known of a source; both fields are empty if that is
// nothing.
func (v *View) Source(h assertion.Hash) (out assertion.SourceRecord, err error) {
	if out.Statuses, err = all[*assertion.SourceStatus](v, lookup(aboutStatus, h[:])); err != nil {
		return out, err
	}
	e, found, err := v.latest(lookup(aboutSource, h[:]))
	if source, ok := e.Entry.(*assertion.Source); found && ok {
		out.Source = &assertion.Recorded[*assertion.Source]{Entry: source, Commit: e.Commit}
	}
	return out, err
}

// Sources returns up to limit hashes of registered sources in their order,
// beginning after one.
func (v *View) Sources(after *assertion.Hash, limit int) (hashes []assertion.Hash, err error) {
	prefix := lookup(aboutSource)
	err = v.db.groups(v.snapshot, prefix, seqLen, func(k, _ []byte) (bool, error) {
		h := assertion.Hash(k[len(prefix) : len(k)-seqLen])
		if after != nil && bytes.Compare(h[:], after[:]) <= 0 {
			return true, nil
		}
		s, err := seqAtEnd(k)
		if err != nil {
			return false, err
		}
		_, known, err := entryOf[*assertion.Source](v, s)
		if err != nil {
			return false, err
		}
		if known {
			if len(hashes) == limit {
				return false, errStop
			}
			hashes = append(hashes, h)
		}
		return true, nil // the first description decides: later ones were known later
	})
	return hashes, err
}

// maxAliases bounds the names that one entity is read under.
const maxAliases = 64

// Aliases returns every name of the entity that a name belongs to, itself
// first, and the aliases that join them; at most 64 names.
func (v *View) Aliases(name string) (names []string, joins []assertion.Recorded[*assertion.Alias], err error) {
	names = []string{name}
	seen := map[string]bool{name: true}
	joined := map[assertion.Alias]bool{}
	for i := 0; i < len(names); i++ {
		for _, about := range []byte{aboutAlias, aboutCanonical} {
			near, err := v.joined(lookup(about, []byte(names[i]), zero))
			if err != nil {
				return nil, nil, err
			}
			for _, a := range near {
				if !joined[*a.Entry] {
					joined[*a.Entry] = true
					joins = append(joins, a)
				}
				for _, other := range []string{a.Entry.Name, a.Entry.Canonical} {
					if !seen[other] && len(names) < maxAliases {
						seen[other] = true
						names = append(names, other)
					}
				}
			}
		}
	}
	return names, joins, nil
}

// AliasPage returns up to limit aliases that hold, by name and canonical name,
// beginning after one.
func (v *View) AliasPage(after *assertion.Alias, limit int) (out []assertion.Recorded[*assertion.Alias], err error) {
	aliases, err := v.joined(lookup(aboutAlias))
	if err != nil {
		return nil, err
	}
	for _, a := range aliases {
		if after != nil && (a.Entry.Name < after.Name || a.Entry.Name == after.Name && a.Entry.Canonical <= after.Canonical) {
			continue
		}
		if len(out) == limit {
			break
		}
		out = append(out, a)
	}
	return out, nil
}

// joined returns the aliases below a prefix that hold: the newest record of a
// pair of names does not remove it.
func (v *View) joined(prefix []byte) (out []assertion.Recorded[*assertion.Alias], err error) {
	records, err := all[*assertion.Alias](v, prefix)
	if err != nil {
		return nil, err
	}
	for i, a := range records { // a pair's records follow each other in log order
		last := i+1 == len(records) || records[i+1].Entry.Name != a.Entry.Name || records[i+1].Entry.Canonical != a.Entry.Canonical
		if last && !a.Entry.Removed {
			out = append(out, a)
		}
	}
	return out, nil
}

// Labels returns the newest gold label of each question, by question, without
// those that were taken back.
func (v *View) Labels() (out []assertion.Recorded[*assertion.Label], err error) {
	records, err := all[*assertion.Label](v, lookup(aboutLabel))
	if err != nil {
		return nil, err
	}
	for i, l := range records {
		last := i+1 == len(records) || records[i+1].Entry.Subject != l.Entry.Subject || records[i+1].Entry.Predicate != l.Entry.Predicate
		if last && !l.Entry.Removed {
			out = append(out, l)
		}
	}
	return out, nil
}

// Seeds returns the newest set of seeds; false if none was set.
func (v *View) Seeds() (*assertion.Seeds, bool, error) {
	e, found, err := v.latest(lookup(aboutSeeds))
	seeds, ok := e.Entry.(*assertion.Seeds)
	return seeds, found && ok, err
}

// Computed returns the newest result of a background computation; false if
// there is none.
func (v *View) Computed(k assertion.Kind) (r assertion.Recorded[*assertion.Computed], found bool, err error) {
	e, found, err := v.latest(lookup(aboutComputed, []byte{byte(k)}))
	computed, ok := e.Entry.(*assertion.Computed)
	return assertion.Recorded[*assertion.Computed]{Entry: computed, Commit: e.Commit}, found && ok, err
}

// ComputedAt is the place in the log of the newest result of a kind, whatever
// time the view is of; false if there is none. It does not read the result.
func (v *View) ComputedAt(k assertion.Kind) (p assertion.Position, found bool, err error) {
	prefix := lookup(aboutComputed, []byte{byte(k)})
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return p, false, v.db.explain(err)
	}
	if found = it.Last(); found {
		var s seq
		s, err = seqAtEnd(it.Key())
		p = s.position()
	}
	return p, found, v.db.explain(errors.Join(err, it.Error(), it.Close()))
}

// NewestTrustChange is the place in the log of the last gold label, endorsement
// or choice of seeds; zero if there was none.
func (v *View) NewestTrustChange() (p assertion.Position, err error) {
	raw, err := v.db.get(v.snapshot, keyTrust)
	if errors.Is(err, pebble.ErrNotFound) {
		return p, nil
	}
	if err == nil && len(raw) != seqLen {
		err = v.db.explain(fmt.Errorf("%w: the last change of trust has %d bytes", ErrCorrupt, len(raw)))
	}
	if err != nil {
		return p, err
	}
	return seq(raw).position(), nil
}

// APIKeys returns the newest state of every API key, by id. Keys are not a
// matter of what was known: it is the state of now.
func (v *View) APIKeys() (out []*assertion.APIKey, err error) {
	present := *v
	present.known = nil
	states, err := all[*assertion.APIKey](&present, lookup(aboutAPIKey))
	for i, state := range states {
		if i+1 == len(states) || states[i+1].Entry.ID != state.Entry.ID {
			out = append(out, state.Entry)
		}
	}
	return out, err
}

// NodeKeys returns every key that a node ever signed receipts with, by node and
// then in log order.
func (v *View) NodeKeys() ([]assertion.Recorded[*assertion.NodeKey], error) {
	return all[*assertion.NodeKey](v, lookup(aboutNode))
}

// Subjects returns up to limit subjects that begin with a prefix, in their
// order, and the cursor of the next page, "" at the end.
func (v *View) Subjects(begin, cursor string, limit int) (subjects []string, next string, err error) {
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || !bytes.HasPrefix(after, []byte(begin)) && len(after) > 0 {
		return nil, "", ErrBadCursor
	}
	prefix := key(spaceSubject, []byte(begin))
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return nil, "", v.db.explain(err)
	}
	defer func() { err = errors.Join(err, v.db.explain(errors.Join(it.Error(), it.Close()))) }()
	ok := it.First()
	if len(after) > 0 {
		ok = it.SeekGE(key(spaceSubject, after, []byte{1}))
	}
	for ok {
		end := bytes.IndexByte(it.Key(), 0)
		if end < 0 {
			return nil, "", v.db.explain(fmt.Errorf("%w: key %x", ErrCorrupt, it.Key()))
		}
		subject := bytes.Clone(it.Key()[1:end])
		known, err := v.knewSubject(it, subject)
		if err != nil {
			return nil, "", err
		}
		if known {
			if len(subjects) == limit {
				return subjects, base64.RawURLEncoding.EncodeToString([]byte(subjects[limit-1])), nil
			}
			subjects = append(subjects, string(subject))
		}
		ok = it.SeekGE(key(spaceSubject, subject, []byte{1}))
	}
	return subjects, "", nil
}

// knewSubject reports whether a claim on the subject that the iterator stands
// at was known, and not hidden by the content defence.
func (v *View) knewSubject(it *pebble.Iterator, subject []byte) (bool, error) {
	prefix := key(spaceSubject, subject, zero)
	for ok := true; ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		if v.known == nil {
			if len(it.Value()) == 0 {
				return true, nil
			}
			continue
		}
		o, err := orderAtEnd(it.Key())
		if err != nil {
			return false, err
		}
		c, err := v.load(o.seq())
		if err != nil {
			return false, err
		}
		if c != nil && !c.Review.Hides() {
			return true, nil
		}
	}
	return false, nil
}

// Predicates returns the predicates of a subject in their order, at most limit.
func (v *View) Predicates(subject string, limit int) (predicates []string, err error) {
	prefix := key(spaceDispute, []byte(subject), zero)
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return nil, v.db.explain(err)
	}
	for ok := it.First(); ok && len(predicates) < limit; ok = it.Next() {
		predicates = append(predicates, string(bytes.TrimSuffix(it.Key()[len(prefix):], zero)))
	}
	return predicates, v.db.explain(errors.Join(it.Error(), it.Close()))
}
