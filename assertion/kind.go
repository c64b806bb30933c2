package assertion

import "fmt"

// Kind says what an entry of the replicated log holds. Its number is part of
// the log's format and never changes its meaning.
type Kind uint8

// The kinds.
const (
	KindAssertion    Kind = 1 + iota // Assertion
	KindVote                         // Vote
	KindEpoch                        // Epoch
	KindSupersession                 // Supersession
	KindEndorsement                  // Endorsement
	KindSource                       // Source
	KindSourceStatus                 // SourceStatus
	KindAlias                        // Alias
	KindLabel                        // Label
	KindSeeds                        // Seeds
	KindNodeKey                      // NodeKey
	KindTrust                        // Computed: the trust in agents
	KindTruth                        // Computed: the model of the truth lens
	KindClock                        // Clock
	// KindCosignature is a signature that joined a claim later. It is an event
	// of the log's history and no entry of its own: it came as an assertion.
	KindCosignature
	KindAPIKey   // APIKey
	KindDecision // Decision
	// KindAdmitted is an entry of another kind with what the node that took it in
	// decided on it. It exists in the log's commands only.
	KindAdmitted
)

func (k Kind) String() string {
	names := [...]string{"", "assertion", "vote", "epoch", "supersession", "endorsement", "source", "source_status",
		"alias", "label", "seeds", "node_key", "trust", "truth", "clock", "cosignature", "api_key", "decision", "admitted"}
	if k > 0 && int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// ParseKind reads a kind by its name, as String writes it. The error is an
// *Error with the code invalid_field.
func ParseKind(s string) (Kind, error) {
	for k := KindAssertion; k < KindAdmitted; k++ {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, &Error{Code: CodeInvalidField, Detail: quoted(s) + " is no kind of entry", Fix: "use assertion, vote, source, …"}
}

// Entry is what one place in the replicated log holds.
type Entry interface {
	Kind() Kind
	MarshalBinary() ([]byte, error)
}

// Kind implements Entry.
func (*Assertion) Kind() Kind { return KindAssertion }

// Kind implements Entry.
func (*Vote) Kind() Kind { return KindVote }

// Kind implements Entry.
func (*Epoch) Kind() Kind { return KindEpoch }

// Kind implements Entry.
func (*Supersession) Kind() Kind { return KindSupersession }

// Kind implements Entry.
func (*Endorsement) Kind() Kind { return KindEndorsement }

// Kind implements Entry.
func (*Source) Kind() Kind { return KindSource }

// Kind implements Entry.
func (*SourceStatus) Kind() Kind { return KindSourceStatus }

// Kind implements Entry.
func (*Alias) Kind() Kind { return KindAlias }

// Kind implements Entry.
func (*Label) Kind() Kind { return KindLabel }

// Kind implements Entry.
func (*Seeds) Kind() Kind { return KindSeeds }

// Kind implements Entry.
func (*NodeKey) Kind() Kind { return KindNodeKey }

// Kind implements Entry.
func (c *Computed) Kind() Kind { return c.Of }

// Kind implements Entry.
func (*Clock) Kind() Kind { return KindClock }

// AppendEntry appends an entry as the log's commands hold it: its kind, then
// its record.
func AppendEntry(b []byte, e Entry) ([]byte, error) {
	record, err := e.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return append(append(b, byte(e.Kind())), record...), nil
}

// DecodeEntry reads the record of an entry of any kind but KindAssertion, which
// DecodeRecord reads with its hash. The error is an *Error with the code
// record_invalid.
func DecodeEntry(k Kind, record []byte) (Entry, error) {
	var e interface {
		Entry
		UnmarshalBinary([]byte) error
	}
	switch k {
	case KindVote:
		e = new(Vote)
	case KindEpoch:
		e = new(Epoch)
	case KindSupersession:
		e = new(Supersession)
	case KindEndorsement:
		e = new(Endorsement)
	case KindSource:
		e = new(Source)
	case KindSourceStatus:
		e = new(SourceStatus)
	case KindAlias:
		e = new(Alias)
	case KindLabel:
		e = new(Label)
	case KindSeeds:
		e = new(Seeds)
	case KindNodeKey:
		e = new(NodeKey)
	case KindTrust, KindTruth:
		e = &Computed{Of: k}
	case KindClock:
		e = new(Clock)
	case KindAPIKey:
		e = new(APIKey)
	case KindDecision:
		e = new(Decision)
	default:
		return nil, &Error{Code: CodeRecordInvalid, Detail: fmt.Sprintf("no entry has the kind %s", k)}
	}
	if err := e.UnmarshalBinary(record); err != nil {
		return nil, err
	}
	return e, nil
}
