package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gowebpki/jcs"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/lthash"
)

// Version is that of the format.
const Version = 1

// Magic is how every export begins.
const Magic = `{"stemedb_export":`

// digestContext is the BLAKE3 derive-key context of the content digest's
// elements.
const digestContext = "stemedb 2026 export content v1"

// maxLine bounds a line: a source whose text takes six bytes a byte fits.
const maxLine = 7 << 20

// Selection is what an export was restricted to. The zero value is everything.
type Selection struct {
	// Subject is exact, or a prefix if it ends in *.
	Subject   string `json:"subject,omitempty"`
	Predicate string `json:"predicate,omitempty"`
	// Since leaves out what was committed up to and with this log index.
	Since uint64 `json:"since,omitempty"`
}

// Header is the first line.
type Header struct {
	Version   int    `json:"stemedb_export"`
	ClusterID string `json:"cluster_id"`
	// Index is the log index of the exported state, CommittedAt the time of its
	// last commit, unix seconds.
	Index       uint64 `json:"index"`
	CommittedAt uint64 `json:"committed_at"`
	// Software names what wrote the file.
	Software string `json:"software"`
	// Selection is absent from an export of everything.
	Selection *Selection `json:"selection,omitempty"`
}

// line is the JSON form of a record.
type line struct {
	Kind string `json:"kind"`
	// Position and CommittedAt are where and when the cluster took the record in.
	Position    string `json:"position"`
	CommittedAt uint64 `json:"committed_at"`
	// Hash is the identity of what is signed; absent from what is not.
	Hash string `json:"hash,omitempty"`
	// Authority is the id of the admin API key by which it decided on what its
	// signer does not own, or nobody does.
	Authority string          `json:"authority,omitempty"`
	Record    json.RawMessage `json:"record"`
}

// Trailer is the last line. Its bytes follow from the lines before it.
type Trailer struct {
	End bool `json:"end"`
	// Lines counts those before the trailer, the header among them.
	Lines int `json:"lines"`
	// Records counts by kind, Signatures all that were made by agents.
	Records    map[string]int `json:"records"`
	Signatures int            `json:"signatures"`
	// Digest is the content digest.
	Digest assertion.Hash `json:"digest"`
	// BLAKE3 is that of every byte before the trailer.
	BLAKE3 assertion.Hash `json:"blake3"`
}

// Record is one line between header and trailer.
type Record struct {
	// Line is its number in the file, from 1.
	Line int
	// Kind is KindCosignature for signatures that joined a claim later; Entry is
	// then the *assertion.Assertion with these signatures only.
	Kind   assertion.Kind
	Commit assertion.Commit
	// Hash is the identity of what is signed, zero for what is not.
	Hash      assertion.Hash
	Authority string
	Entry     assertion.Entry
}

// Section is the place of a kind in the file, from 0; -1 if it has none. Records
// come in the order of their sections, and within one in that of the log, so
// that whatever a record is about is there before it.
func Section(k assertion.Kind) int {
	if k == assertion.KindCosignature {
		k = assertion.KindAssertion
	}
	return slices.Index([]assertion.Kind{
		assertion.KindSource, assertion.KindEpoch, assertion.KindAlias, assertion.KindAssertion, assertion.KindSourceStatus,
		assertion.KindSupersession, assertion.KindVote, assertion.KindEndorsement, assertion.KindLabel, assertion.KindSeeds, assertion.KindDecision,
	}, k)
}

// encode is the JSON of a value as the format has it: without spaces, and without
// escapes that only HTML needs.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode an export: %w", err)
	}
	return b.Bytes(), nil // with the newline
}

// hashed is the identity of an entry that is signed.
func hashed(e assertion.Entry) (assertion.Hash, bool) {
	switch e := e.(type) {
	case *assertion.Assertion:
		return e.ContentHash(), true
	case interface{ Hash() assertion.Hash }:
		return e.Hash(), true
	}
	return assertion.Hash{}, false
}

// content counts records and their signatures, and makes the content digest.
type content struct {
	records    map[string]int
	signatures int
	legacy     int // of version 1
	state      lthash.State
}

func newContent() *content { return &content{records: map[string]int{}} }

func (c *content) join(o *content) {
	for kind, n := range o.records {
		c.records[kind] += n
	}
	c.signatures += o.signatures
	c.legacy += o.legacy
	c.state.AddState(&o.state)
}

// add counts a record. The digest has one element for each signature of a claim,
// so that it does not matter who signed first, and one for each other record. A
// decision is none: whether it needs one depends on the cluster.
func (c *content) add(x *lthash.Expander, r *Record, record json.RawMessage) error {
	c.records[r.Kind.String()]++
	element := func(name string, parts ...[]byte) {
		b := append([]byte(name), 0)
		for _, p := range parts {
			b = append(b, p...)
		}
		c.state.Add(x.Expand(b))
	}
	signed := func(signature *assertion.SignatureBytes) {
		c.signatures++
		element(r.Kind.String(), r.Hash[:], signature[:])
	}
	switch e := r.Entry.(type) {
	case *assertion.Assertion:
		for i := range e.Signatures {
			s := &e.Signatures[i]
			c.signatures++
			if s.Version == assertion.SignatureV1 {
				c.legacy++
			}
			element("signature", r.Hash[:], s.AgentID[:], []byte{s.Version}, s.Signature[:])
		}
	case *assertion.Epoch:
		signed(&e.Signature)
	case *assertion.Supersession:
		signed(&e.Signature)
	case *assertion.Vote:
		signed(&e.Signature)
	case *assertion.Endorsement:
		signed(&e.Signature)
	case *assertion.Decision:
	default:
		canonical, err := jcs.Transform(record)
		if err != nil {
			return fmt.Errorf("canonical form of a %s: %w", r.Kind, err)
		}
		element(r.Kind.String(), canonical)
	}
	return nil
}

func (c *content) trailer(lines int, sum assertion.Hash) ([]byte, *Trailer, error) {
	t := &Trailer{End: true, Lines: lines, Records: c.records, Signatures: c.signatures, Digest: c.state.Sum(), BLAKE3: sum}
	raw, err := encode(t)
	return raw, t, err
}

// position reads the place of a line.
func (l *line) position() (assertion.Position, error) { return v1.ParsePosition(l.Position) }
