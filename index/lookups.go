package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// Entries that are no claim lie in log order under spaceEntry and are never
// changed: what counts of them at a time is found through the keys of
// spaceLookup, whose second byte says what they are about.
const (
	aboutHash         = 'h' // hash of a signed entry, sequence
	aboutVote         = 'v' // claim, agent, ^time ^sequence
	aboutEpoch        = 'e' // epoch that is superseded, sequence
	aboutSupersession = 's' // claim that is superseded, sequence
	aboutEndorsement  = 'n' // endorsing agent, endorsed agent, ^time ^sequence
	aboutSource       = 'o' // source, sequence
	aboutStatus       = 't' // source, sequence
	aboutRetracted    = 'r' // source that is retracted now, without a sequence
	aboutAlias        = 'a' // name 0 canonical 0, sequence
	aboutCanonical    = 'c' // canonical 0 name 0, sequence
	aboutLabel        = 'l' // question, sequence
	aboutNode         = 'k' // node id 0, sequence
	aboutSeeds        = 'd' // sequence
	aboutComputed     = 'm' // kind, sequence
	aboutAPIKey       = 'y' // API key's id 0, sequence
	aboutDecision     = 'q' // claim, sequence
	aboutReview       = 'w' // state of the review, sequence of the claim
	aboutFinding      = 'f' // question, value, ^time ^sequence of a claim with findings that is not hidden
)

func lookup(about byte, parts ...[]byte) []byte {
	return key(spaceLookup, append([][]byte{{about}}, parts...)...)
}

// lookups are the keys by which an entry is found, with its sequence at their
// end.
func lookups(e assertion.Entry, s seq) [][]byte {
	switch e := e.(type) {
	case *assertion.Vote:
		o := newOrder(e.Timestamp, s)
		return [][]byte{signedKey(e.Hash(), s), lookup(aboutVote, e.AssertionHash[:], e.AgentID[:], o[:])}
	case *assertion.Endorsement:
		o := newOrder(e.Timestamp, s)
		return [][]byte{signedKey(e.Hash(), s), lookup(aboutEndorsement, e.AgentID[:], e.Endorsed[:], o[:])}
	case *assertion.Epoch:
		keys := [][]byte{signedKey(e.Hash(), s)}
		if e.Supersedes != nil {
			keys = append(keys, lookup(aboutEpoch, e.Supersedes[:], s[:]))
		}
		return keys
	case *assertion.Supersession:
		return [][]byte{signedKey(e.Hash(), s), lookup(aboutSupersession, e.Superseded[:], s[:])}
	case *assertion.Source:
		return [][]byte{lookup(aboutSource, e.Hash[:], s[:])}
	case *assertion.SourceStatus:
		return [][]byte{lookup(aboutStatus, e.Source[:], s[:])}
	case *assertion.Alias:
		return [][]byte{
			lookup(aboutAlias, []byte(e.Name), zero, []byte(e.Canonical), zero, s[:]),
			lookup(aboutCanonical, []byte(e.Canonical), zero, []byte(e.Name), zero, s[:]),
		}
	case *assertion.Label:
		return [][]byte{lookup(aboutLabel, question(e.Subject, e.Predicate), s[:])}
	case *assertion.NodeKey:
		return [][]byte{lookup(aboutNode, []byte(e.NodeID), zero, s[:])}
	case *assertion.APIKey:
		return [][]byte{lookup(aboutAPIKey, []byte(e.ID), zero, s[:])}
	case *assertion.Decision:
		return [][]byte{lookup(aboutDecision, e.Claim[:], s[:])}
	case *assertion.Seeds:
		return [][]byte{lookup(aboutSeeds, s[:])}
	case *assertion.Computed:
		return [][]byte{lookup(aboutComputed, []byte{byte(e.Of)}, s[:])}
	}
	return nil
}

func signedKey(h assertion.Hash, s seq) []byte { return lookup(aboutHash, h[:], s[:]) }

// seqAtEnd reads the sequence that ends a key.
func seqAtEnd(key []byte) (s seq, err error) {
	if len(key) < seqLen+2 {
		return s, fmt.Errorf("%w: key %x is too short", ErrCorrupt, key)
	}
	copy(s[:], key[len(key)-seqLen:])
	return s, nil
}

// entryHead is the length of what stands before the record of an entry in
// spaceEntry: version, kind, committed_at. In an entry of the version
// authorizedVersion the authority follows, with its length in one byte.
const (
	entryHead         = 10
	authorizedVersion = storedVersion + 1
)

func encodeEntry(k assertion.Kind, at uint64, record []byte, authority string) []byte {
	b := append(make([]byte, 0, entryHead+1+len(authority)+len(record)), storedVersion, byte(k))
	b = binary.BigEndian.AppendUint64(b, at)
	if authority != "" {
		b[0] = authorizedVersion
		b = append(append(b, byte(len(authority))), authority...)
	}
	return append(b, record...)
}

// kindOf is the kind of an encoded entry, 0 of what is none.
func kindOf(b []byte) assertion.Kind {
	if len(b) < entryHead {
		return 0
	}
	return assertion.Kind(b[1])
}

func decodeEntry(s seq, b []byte) (r assertion.Recorded[assertion.Entry], err error) {
	if len(b) < entryHead || b[0] != storedVersion && b[0] != authorizedVersion {
		return r, fmt.Errorf("%w: entry %x has no known form", ErrCorrupt, s)
	}
	r.Commit = assertion.Commit{Position: s.position(), At: binary.BigEndian.Uint64(b[2:])}
	record := b[entryHead:]
	if b[0] == authorizedVersion {
		if len(record) == 0 || len(record) <= int(record[0]) {
			return r, fmt.Errorf("%w: the authority of entry %x ends early", ErrCorrupt, s)
		}
		r.Authority, record = string(record[1:1+record[0]]), record[1+record[0]:]
	}
	if k := assertion.Kind(b[1]); k == assertion.KindCosignature {
		cosigned := new(assertion.Cosignature)
		r.Entry, err = cosigned, cosigned.UnmarshalBinary(record)
	} else {
		r.Entry, err = assertion.DecodeEntry(k, record)
	}
	if err != nil {
		return r, fmt.Errorf("%w: entry %x: %w", ErrCorrupt, s, err)
	}
	return r, nil
}

// entryAt returns an entry that a lookup points to.
func (d *DB) entryAt(r pebble.Reader, s seq) (e assertion.Recorded[assertion.Entry], err error) {
	raw, err := d.get(r, key(spaceEntry, s[:]))
	if errors.Is(err, pebble.ErrNotFound) {
		return e, d.explain(fmt.Errorf("%w: entry %x is missing", ErrCorrupt, s))
	}
	if err != nil {
		return e, err
	}
	e, err = decodeEntry(s, raw)
	return e, d.explain(err)
}

// groups walks the keys below a prefix. Those that are alike but for their last
// tail bytes form a group, of which visit sees keys in order until it says
// that it is done with the group; the rest of the group is skipped.
func (d *DB) groups(r pebble.Reader, prefix []byte, tail int, visit func(key, value []byte) (done bool, err error)) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return d.explain(err)
	}
	defer func() { err = errors.Join(err, d.explain(errors.Join(it.Error(), it.Close()))) }()
	for ok := it.First(); ok; {
		if len(it.Key()) < len(prefix)+tail {
			return fmt.Errorf("%w: key %x is too short", ErrCorrupt, it.Key())
		}
		done, err := visit(it.Key(), it.Value())
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
		if !done {
			ok = it.Next()
			continue
		}
		group := bytes.Clone(it.Key()[:len(it.Key())-tail])
		ok = it.SeekGE(upperBound(group))
	}
	return nil
}

// errStop ends a walk early.
var errStop = errors.New("stop")
