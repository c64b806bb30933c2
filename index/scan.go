package index

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
)

// Iterator walks the claims that match a filter, newest first; with a subject
// prefix, by subject and then newest first.
type Iterator struct {
	view     *View
	filter   assertion.Filter
	iter     *pebble.Iterator
	started  bool
	resume   []byte // key after which to begin
	claim    *assertion.Claim
	scanned  int
	most     int  // claims to read at most; 0 is no bound
	bySigner bool // walks the claims of the filter's agent
	bounded  bool
	err      error
}

// prefixOf picks the index that leaves the least to filter.
func prefixOf(f *assertion.Filter) []byte {
	switch {
	case f.Subject != "" && f.SubjectPrefix:
		return key(spaceSubject, []byte(f.Subject))
	case f.Subject != "" && f.Predicate != "":
		return key(spaceQuestion, question(f.Subject, f.Predicate))
	case f.Subject != "":
		return namePrefix(spaceSubject, f.Subject)
	case f.Agent != nil:
		return key(spaceAgent, f.Agent[:])
	case f.Source != nil:
		return key(spaceSource, f.Source[:])
	case f.Predicate != "":
		return namePrefix(spacePredicate, f.Predicate)
	default:
		return []byte{spaceAll}
	}
}

// Scan begins at the first claim that matches. Close the iterator.
func (v *View) Scan(f assertion.Filter) *Iterator { return v.scanAfter(f, nil) }

func (v *View) scanAfter(f assertion.Filter, after []byte) *Iterator {
	prefix := prefixOf(&f)
	it := &Iterator{view: v, filter: f, resume: after, bySigner: prefix[0] == spaceAgent}
	lower := prefix
	if f.AsOf != nil && !f.SubjectPrefix { // the newest that may match comes first
		lower = binary.BigEndian.AppendUint64(bytes.Clone(prefix), ^*f.AsOf)
	}
	it.iter, it.err = v.snapshot.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upperBound(prefix)})
	it.err = v.db.explain(it.err)
	return it
}

// StopAfter bounds how many claims the iterator reads, matching or not, so that
// a filter that selects almost nothing cannot walk a whole index. What was not
// known at the view's time does not count: the bound cuts off the same claims
// however many arrive later.
func (it *Iterator) StopAfter(claims int) { it.most = claims }

// Stopped reports that the bound of StopAfter ended the iteration.
func (it *Iterator) Stopped() bool { return it.bounded }

// Next moves to the next claim; false means the end, the bound or an error.
func (it *Iterator) Next() bool {
	for it.err == nil {
		if it.most > 0 && it.scanned >= it.most {
			it.bounded = true
			return false
		}
		if !it.advance() {
			return false
		}
		o, err := orderAtEnd(it.iter.Key())
		if err != nil {
			it.err = it.view.db.explain(err)
			return false
		}
		if it.claim, it.err = it.read(o.seq()); it.err != nil {
			return false
		}
		if it.claim == nil {
			continue
		}
		it.scanned++
		if it.filter.Match(it.claim) {
			return true
		}
	}
	return false
}

// read returns the claim of a key, as it was known; nil if the key was not there
// at that time, because the claim or the signature that it stands for came
// later.
func (it *Iterator) read(s seq) (*assertion.Claim, error) {
	if known, err := it.view.knewClaim(s); err != nil || !known {
		return nil, err
	}
	c, err := it.view.load(s)
	if err != nil || c == nil || it.bySigner && !c.HasSigner(*it.filter.Agent) {
		return nil, err
	}
	return c, nil
}

func (it *Iterator) advance() bool {
	var ok bool
	switch {
	case it.started:
		ok = it.iter.Next()
	case it.resume == nil:
		ok = it.iter.First()
	default:
		if ok = it.iter.SeekGE(it.resume); ok && bytes.Equal(it.iter.Key(), it.resume) {
			ok = it.iter.Next()
		}
	}
	it.started = true
	if !ok {
		it.err = it.view.db.explain(it.iter.Error())
	}
	return ok
}

// Claim is the claim that Next has found.
func (it *Iterator) Claim() *assertion.Claim { return it.claim }

// Scanned is how many claims were read so far, matching or not, of those that
// were known.
func (it *Iterator) Scanned() int { return it.scanned }

// Err is the error that ended the iteration, nil at a regular end.
func (it *Iterator) Err() error { return it.err }

// Close releases the iterator.
func (it *Iterator) Close() error {
	if it.iter == nil {
		return it.err
	}
	return errors.Join(it.err, it.view.db.explain(it.iter.Close()))
}

// maxPageScan bounds the claims that one page reads.
const maxPageScan = 100_000

// cursorVersion begins every cursor.
const cursorVersion = 1

// fingerprint ties a cursor to its filter.
func fingerprint(f *assertion.Filter) ([]byte, error) {
	raw, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("fingerprint a filter: %w", err)
	}
	h := blake3.Sum256(raw)
	return h[:8], nil
}

// Page returns up to limit claims that match f, from where cursor left off, and
// the cursor of the next page, "" at the end. Claims that arrive between two
// pages never make a later page repeat or skip a claim that was there. A page
// reads a bounded number of claims: with a filter that selects few of them it
// may hold less than limit, or nothing, and still have a next one.
func (v *View) Page(f assertion.Filter, cursor string, limit int) (claims []*assertion.Claim, next string, err error) {
	return v.page(f, cursor, limit, maxPageScan)
}

// page is Page that reads at most so many claims.
func (v *View) page(f assertion.Filter, cursor string, limit, most int) (claims []*assertion.Claim, next string, err error) {
	mark, err := fingerprint(&f)
	if err != nil {
		return nil, "", err
	}
	after, err := readCursor(cursor, mark, prefixOf(&f))
	if err != nil {
		return nil, "", err
	}
	it := v.scanAfter(f, after)
	defer func() { err = errors.Join(err, it.Close()) }()
	it.StopAfter(most)
	var last []byte
	for it.Next() {
		if len(claims) == limit {
			return claims, writeCursor(mark, last), nil
		}
		claims = append(claims, it.Claim())
		last = append(last[:0], it.iter.Key()...)
	}
	if it.Stopped() {
		return claims, writeCursor(mark, it.iter.Key()), nil
	}
	return claims, "", it.Err()
}

func writeCursor(mark, key []byte) string {
	raw := append([]byte{cursorVersion}, mark...)
	return base64.RawURLEncoding.EncodeToString(append(raw, key...))
}

func readCursor(cursor string, mark, prefix []byte) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < 9 || raw[0] != cursorVersion || !bytes.Equal(raw[1:9], mark) || !bytes.HasPrefix(raw[9:], prefix) {
		return nil, ErrBadCursor
	}
	return raw[9:], nil
}
