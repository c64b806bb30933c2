package assertion

import (
	"fmt"
	"strings"
)

const (
	// MaxFindings bounds the findings on one claim.
	MaxFindings = 16
	// maxFindingBytes bounds the code and the rule of a finding, each.
	maxFindingBytes = 64
)

// Finding is what the content defence found in a claim. It names rules and never
// repeats the claim's text.
type Finding struct {
	// Code is a stable name of the kind of finding, such as prompt_injection.
	Code string `json:"code"`
	// Rule is the pattern or rule that matched, if the code has several.
	Rule string `json:"rule,omitempty"`
}

// String is the code and, after a slash, the rule if there is one.
func (f Finding) String() string {
	if f.Rule == "" {
		return f.Code
	}
	return f.Code + "/" + f.Rule
}

// Admission is what the node that took in an entry decided on it, before it was
// proposed: every node applies the same.
type Admission struct {
	// Authority is the id of the admin API key by which the entry may decide on
	// what its signers do not own; "" is none.
	Authority string
	// Findings are those of the content defence on a claim; Quarantine says that
	// they keep it out of answers until it is reviewed.
	Findings   []Finding
	Quarantine bool
	// Work is the proof that the entry was admitted by, nil if none was needed. Tag
	// is the node's own random name of the request: the proof admits the entries of
	// one request only.
	Work *Work
	Tag  uint64
}

// Plain reports whether the admission says nothing.
func (a *Admission) Plain() bool {
	return a.Authority == "" && len(a.Findings) == 0 && !a.Quarantine && a.Work == nil
}

// Admitted is an entry with its admission. One whose admission is plain goes to
// the log as it is.
type Admitted struct {
	Entry     Entry
	Admission Admission
}

// Kind implements Entry.
func (*Admitted) Kind() Kind { return KindAdmitted }

// MarshalBinary returns the record: the version byte, the CBOR array [authority,
// [[code, rule], …], quarantine, work or null, tag], then the entry as
// AppendEntry writes it. Work is [agent, nonce, timestamp].
func (a *Admitted) MarshalBinary() ([]byte, error) {
	b := appendAdmission(beginRecord(256), &a.Admission)
	return AppendEntry(b, a.Entry)
}

func appendAdmission(b []byte, a *Admission) []byte {
	b = appendArray(b, 5)
	b = appendText(b, a.Authority)
	b = AppendFindings(b, a.Findings)
	b = appendBool(b, a.Quarantine)
	if a.Work == nil {
		b = append(b, cborNull)
	} else {
		b = appendArray(b, 3)
		b = appendBytes(b, a.Work.Agent[:])
		b = appendUint(b, a.Work.Nonce)
		b = appendUint(b, a.Work.Timestamp)
	}
	return appendUint(b, a.Tag)
}

// AppendFindings appends findings in CBOR.
func AppendFindings(b []byte, findings []Finding) []byte {
	b = appendArray(b, len(findings))
	for _, f := range findings {
		b = appendArray(b, 2)
		b = appendText(b, f.Code)
		b = appendText(b, f.Rule)
	}
	return b
}

// DecodeFindings reads what AppendFindings wrote, from the beginning of b, and
// returns the rest. The error is an *Error with the code record_invalid.
func DecodeFindings(b []byte) (findings []Finding, rest []byte, err error) {
	r := &cborReader{b: b}
	findings = r.findings()
	if r.err != nil {
		return nil, nil, r.err
	}
	return findings, b[r.off:], nil
}

func (r *cborReader) findings() []Finding {
	n := r.array(0, MaxFindings)
	if n == 0 {
		return nil
	}
	out := make([]Finding, n)
	for i := range out {
		r.array(2, 2)
		out[i].Code = r.text()
		out[i].Rule = r.text()
		if out[i].Code == "" || len(out[i].Code) > maxFindingBytes || len(out[i].Rule) > maxFindingBytes {
			r.fail("a finding's code or rule is empty or too long")
		}
	}
	return out
}

// OpenEntry takes apart an entry as AppendEntry writes it, which is not empty: its
// kind, the record of that kind, which shares the memory of b, and the admission
// around it, the zero one if there is none. The error is that of DecodeAdmitted.
func OpenEntry(b []byte) (kind Kind, record []byte, a Admission, err error) {
	kind, record = Kind(b[0]), b[1:]
	if kind == KindAdmitted {
		if a, record, err = DecodeAdmitted(record); err != nil {
			return kind, nil, a, err
		}
		kind, record = Kind(record[0]), record[1:]
	}
	return kind, record, a, nil
}

// DecodeAdmitted takes the record of an Admitted apart into its admission and
// the entry inside, as AppendEntry writes it, which shares the memory of b. The
// error is an *Error with the code record_invalid.
func DecodeAdmitted(b []byte) (a Admission, entry []byte, err error) {
	r, err := openRecord(b)
	if err != nil {
		return a, nil, err
	}
	r.array(5, 5)
	a.Authority = r.text()
	if len(a.Authority) > maxKeyID {
		r.fail("an authority of %d bytes", len(a.Authority))
	}
	a.Findings = r.findings()
	a.Quarantine = r.bool()
	if !r.null() {
		a.Work = new(Work)
		r.array(3, 3)
		r.fixed(a.Work.Agent[:])
		a.Work.Nonce = r.uint()
		a.Work.Timestamp = r.uint()
	}
	a.Tag = r.uint()
	if r.err != nil {
		return a, nil, r.err
	}
	entry = b[r.off:]
	if len(entry) == 0 || Kind(entry[0]) == KindAdmitted {
		return a, nil, &Error{Code: CodeRecordInvalid, Detail: "an admission without an entry"}
	}
	return a, entry, nil
}

// Review says whether the content defence keeps a claim out of answers, and what
// the reviewer decided.
type Review uint8

// The states.
const (
	NotQuarantined Review = iota
	ReviewPending         // nobody has decided yet
	ReviewApproved        // answers show it
	ReviewRejected        // a reviewer confirmed that answers leave it out
)

func (r Review) String() string {
	names := [...]string{"", "pending", "approved", "rejected"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("Review(%d)", uint8(r))
}

// Hides reports whether answers leave the claim out.
func (r Review) Hides() bool { return r == ReviewPending || r == ReviewRejected }

// MarshalText returns the name.
func (r Review) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name. The error is an *Error with the code
// invalid_field.
func (r *Review) UnmarshalText(text []byte) error {
	for known := NotQuarantined; known <= ReviewRejected; known++ {
		if known.String() == string(text) {
			*r = known
			return nil
		}
	}
	return &Error{Code: CodeInvalidField, Detail: quoted(string(text)) + " is no state of a review", Fix: "use pending, approved or rejected"}
}

// Decision is a reviewer's word on a claim that was quarantined. The newest of a
// claim counts.
type Decision struct {
	Claim    Hash `json:"assertion_hash"`
	Approved bool `json:"approved"`
	// Reviewer names who decided: the id of an admin API key, or what the
	// operator of a cluster without keys is called. 1 to 64 bytes.
	Reviewer string `json:"reviewer"`
	// Reason is for people: UTF-8 in NFC without NUL, 1 to MaxReasonBytes bytes.
	Reason string `json:"reason"`
}

// Kind implements Entry.
func (*Decision) Kind() Kind { return KindDecision }

// Review is the state that the decision leads to.
func (d *Decision) Review() Review {
	if d.Approved {
		return ReviewApproved
	}
	return ReviewRejected
}

// Validate refuses a decision without a reviewer or a reason, or with one that
// is too long, with an *Error of the code decision_invalid.
func (d *Decision) Validate() error {
	check := func(field, text string, most int) error {
		switch {
		case strings.TrimSpace(text) == "":
			return &Error{Code: CodeDecisionInvalid, Field: field, Detail: "it is empty", Fix: "say who decides and why: others will ask"}
		case len(text) > most:
			return &Error{Code: CodeDecisionInvalid, Field: field, Detail: fmt.Sprintf("%d bytes, more than %d", len(text), most), Fix: "shorten it"}
		}
		return checkText(text, CodeDecisionInvalid, field)
	}
	if err := check("reviewer", d.Reviewer, maxFindingBytes); err != nil {
		return err
	}
	return check("reason", d.Reason, MaxReasonBytes)
}

// MarshalBinary returns the record, [claim, approved, reviewer, reason]; the
// error is always nil.
func (d *Decision) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(64+len(d.Reviewer)+len(d.Reason)), 4)
	b = appendBytes(b, d.Claim[:])
	b = appendBool(b, d.Approved)
	b = appendText(b, d.Reviewer)
	return appendText(b, d.Reason), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (d *Decision) UnmarshalBinary(b []byte) error {
	var decoded Decision
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(4, 4)
	r.fixed(decoded.Claim[:])
	decoded.Approved = r.bool()
	decoded.Reviewer = r.text()
	decoded.Reason = r.text()
	if err := r.done(); err != nil {
		return err
	}
	*d = decoded
	return nil
}
