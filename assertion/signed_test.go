package assertion

import (
	"encoding"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func genVote() *rapid.Generator[*Vote] {
	return rapid.Custom(func(t *rapid.T) *Vote {
		v := &Vote{AssertionHash: genHash().Draw(t, "assertion"), Weight: genUnit().Draw(t, "weight"),
			Timestamp: rapid.Uint64().Draw(t, "timestamp")}
		v.Sign(testKey(rapid.Byte().Draw(t, "key")))
		return v
	})
}

func genEpoch() *rapid.Generator[*Epoch] {
	return rapid.Custom(func(t *rapid.T) *Epoch {
		e := &Epoch{Name: genName().Draw(t, "name"), Supersedes: genOptionalHash().Draw(t, "supersedes"),
			Timestamp: rapid.Uint64().Draw(t, "timestamp")}
		if e.Supersedes != nil {
			e.SupersessionType = SupersessionType(rapid.IntRange(1, 3).Draw(t, "type"))
		}
		if err := e.Normalize(); err != nil {
			t.Fatal(err)
		}
		e.Sign(testKey(rapid.Byte().Draw(t, "key")))
		return e
	})
}

func genSupersession() *rapid.Generator[*Supersession] {
	return rapid.Custom(func(t *rapid.T) *Supersession {
		s := &Supersession{Superseded: genHash().Draw(t, "superseded"), Type: Retracts,
			Reason: genText().Draw(t, "reason"), Timestamp: rapid.Uint64().Draw(t, "timestamp")}
		if s.By = genOptionalHash().Draw(t, "by"); s.By != nil {
			s.Type = SupersessionType(rapid.IntRange(1, 2).Draw(t, "type"))
			s.By[0] = ^s.Superseded[0]
		}
		if err := s.Normalize(); err != nil {
			t.Fatal(err)
		}
		s.Sign(testKey(rapid.Byte().Draw(t, "key")))
		return s
	})
}

// signedContent is what votes, epochs and supersessions have in common.
type signedContent interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
	Normalize() error
	Validate() error
	Verify() error
	Hash() Hash
	ContentBytes() []byte
	CheckTimestamp(now uint64) error
}

// checkSigned holds one value to what every signed content must do.
func checkSigned[T signedContent](t *rapid.T, value, empty T, decodeJSON func([]byte) (T, error), library []any) {
	for _, err := range []error{value.Normalize(), value.Validate(), value.Verify()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	content, err := mode.Marshal(library)
	if err != nil {
		t.Fatal(err)
	}
	if got := value.ContentBytes(); string(got) != string(content) {
		t.Fatalf("content\n got %x\nwant %x", got, content)
	}

	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := decodeJSON(text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if diff := cmp.Diff(value, fromJSON); diff != "" {
		t.Fatal(diff)
	}

	record, err := value.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.UnmarshalBinary(record); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(value, empty); diff != "" {
		t.Fatal(diff)
	}

	at := rapid.IntRange(0, 8*len(record)-1).Draw(t, "bit")
	record[at/8] ^= 1 << (at % 8)
	if empty.UnmarshalBinary(record) == nil && empty.Verify() == nil {
		t.Fatalf("verifies with bit %d changed", at)
	}
}

func libraryHash(h *Hash) any {
	if h == nil {
		return nil
	}
	return h[:]
}

func TestVoteProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genVote().Draw(t, "vote")
		checkSigned(t, v, new(Vote), DecodeVoteJSON, []any{v.AssertionHash[:], v.AgentID[:], v.Weight, v.Timestamp})
	})
}

func TestEpochProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEpoch().Draw(t, "epoch")
		checkSigned(t, e, new(Epoch), DecodeEpochJSON,
			[]any{e.Name, libraryHash(e.Supersedes), uint64(e.SupersessionType), e.AgentID[:], e.Timestamp})
	})
}

func TestSupersessionProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSupersession().Draw(t, "supersession")
		checkSigned(t, s, new(Supersession), DecodeSupersessionJSON,
			[]any{s.Superseded[:], libraryHash(s.By), uint64(s.Type), s.Reason, s.AgentID[:], s.Timestamp})
	})
}

// TestContextsAreSeparate: the same bytes hash differently as each kind of
// content, so no signature moves from one kind to another.
func TestContextsAreSeparate(t *testing.T) {
	seen := map[Hash]string{}
	for _, context := range []string{contentContext, voteContext, epochContext, supersessionContext} {
		hash := hashContent(context, []byte("same"))
		if other, ok := seen[hash]; ok {
			t.Errorf("%q and %q give one hash", context, other)
		}
		seen[hash] = context
	}
}

// TestDeriveKeyKnownAnswer is a vector of the BLAKE3 reference (input of 0 and
// 1 bytes, derive_key).
func TestDeriveKeyKnownAnswer(t *testing.T) {
	const context = "BLAKE3 2019-12-27 16:29:52 test vectors context"
	for input, want := range map[string]string{
		"":     "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d",
		"\x00": "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c",
	} {
		if got := hashContent(context, []byte(input)).String(); got != want {
			t.Errorf("%q: %s, want %s", input, got, want)
		}
	}
}

func TestRejectsInvalidSignedContent(t *testing.T) {
	hash, other := Hash{1}, Hash{2}
	for name, test := range map[string]struct {
		value signedContent
		code  string
	}{
		"vote above 1":                {&Vote{Weight: 1.5}, CodeVoteInvalid},
		"vote below 0":                {&Vote{Weight: -0.5}, CodeVoteInvalid},
		"vote NaN":                    {&Vote{Weight: math.NaN()}, CodeNumberNotFinite},
		"epoch without name":          {&Epoch{}, CodeEpochInvalid},
		"epoch with control":          {&Epoch{Name: "a\n"}, CodeEpochInvalid},
		"epoch not NFC":               {&Epoch{Name: "e\u0301"}, CodeEpochInvalid},
		"epoch type without target":   {&Epoch{Name: "a", SupersessionType: Refines}, CodeEpochInvalid},
		"epoch target without type":   {&Epoch{Name: "a", Supersedes: &hash}, CodeEpochInvalid},
		"epoch of unknown type":       {&Epoch{Name: "a", Supersedes: &hash, SupersessionType: 4}, CodeEpochInvalid},
		"supersession without type":   {&Supersession{By: &hash}, CodeSupersessionInvalid},
		"supersession unknown type":   {&Supersession{By: &hash, Type: 4}, CodeSupersessionInvalid},
		"replaces by nothing":         {&Supersession{Type: Replaces}, CodeSupersessionInvalid},
		"refines by nothing":          {&Supersession{Type: Refines}, CodeSupersessionInvalid},
		"retracts by something":       {&Supersession{By: &hash, Type: Retracts}, CodeSupersessionInvalid},
		"supersedes itself":           {&Supersession{Superseded: hash, By: &hash, Type: Replaces}, CodeSupersessionInvalid},
		"reason too long":             {&Supersession{Superseded: hash, By: &other, Type: Replaces, Reason: strings.Repeat("x", MaxReasonBytes+1)}, CodeSupersessionInvalid},
		"reason with NUL":             {&Supersession{Type: Retracts, Reason: "\x00"}, CodeSupersessionInvalid},
		"reason that is not UTF-8":    {&Supersession{Type: Retracts, Reason: "\xff"}, CodeSupersessionInvalid},
		"unsigned vote is still fine": {&Vote{Weight: 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.value.Validate(); codeOf(t, err) != test.code {
				t.Errorf("%v, want %q", err, test.code)
			}
			if err := test.value.Verify(); codeOf(t, err) != CodeUnsigned {
				t.Errorf("unsigned: %v", err)
			}
		})
	}
}

func TestSignedContentClockAndSignature(t *testing.T) {
	vote := &Vote{Weight: 1, Timestamp: testNow + MaxFutureSeconds + 1}
	epoch := &Epoch{Name: "a", Timestamp: vote.Timestamp}
	supersession := &Supersession{Type: Retracts, Timestamp: vote.Timestamp}
	vote.Sign(testKey(1))
	epoch.Sign(testKey(1))
	supersession.Sign(testKey(1))
	for _, value := range []signedContent{vote, epoch, supersession} {
		if err := value.CheckTimestamp(testNow); codeOf(t, err) != CodeTimestampInFuture {
			t.Errorf("%T: %v", value, err)
		}
		if err := value.CheckTimestamp(testNow + 1); err != nil {
			t.Errorf("%T: %v", value, err)
		}
	}
	vote.Weight, epoch.Name, supersession.Reason = 0.5, "b", "c"
	for _, value := range []signedContent{vote, epoch, supersession} {
		if err := value.Verify(); codeOf(t, err) != CodeSignatureInvalid {
			t.Errorf("%T changed after signing: %v", value, err)
		}
	}
}

func TestSignedContentJSONIsStrict(t *testing.T) {
	hash := Hash{1}.String()
	decode := map[string]func([]byte) error{
		"vote":         func(b []byte) error { _, err := DecodeVoteJSON(b); return err },
		"epoch":        func(b []byte) error { _, err := DecodeEpochJSON(b); return err },
		"supersession": func(b []byte) error { _, err := DecodeSupersessionJSON(b); return err },
	}
	for _, test := range []struct{ kind, text, code, field string }{
		{"vote", `{}`, CodeMissingField, "assertion_hash"},
		{"vote", `{"assertion_hash":"` + hash + `","agent_id":"` + hash + `","weight":NaN,"timestamp":1}`, CodeNumberNotFinite, "weight"},
		{"vote", `{"assertion_hash":"` + hash + `","agent_id":"` + hash + `","weight":1,"timestamp":1,"x":1}`, CodeUnknownField, "x"},
		{"epoch", `{"name":"a","agent_id":"` + hash + `"}`, CodeMissingField, "timestamp"},
		{"epoch", `{"name":"a","agent_id":"` + hash + `","timestamp":1,"supersession_type":"replaces"}`, CodeInvalidField, "supersession_type"},
		{"epoch", `{"name":"\ud800","agent_id":"` + hash + `","timestamp":1}`, CodeInvalidJSON, "name"},
		{"supersession", `{"superseded":"` + hash + `","agent_id":"` + hash + `","timestamp":1}`, CodeMissingField, "type"},
		{"supersession", `{"superseded":"` + hash + `","superseded":"` + hash + `"}`, CodeDuplicateField, "superseded"},
		{"supersession", `[]`, CodeInvalidJSON, ""},
	} {
		err := decode[test.kind]([]byte(test.text))
		if codeOf(t, err) != test.code || err.(*Error).Field != test.field {
			t.Errorf("%s %s: %v, want %s in %q", test.kind, test.text, err, test.code, test.field)
		}
	}
}

// TestSignedRecordByHand fixes the bytes of a vote's record.
func TestSignedRecordByHand(t *testing.T) {
	v := Vote{AssertionHash: Hash{1}, AgentID: AgentID{2}, Weight: 0.1, Timestamp: 24, Signature: SignatureBytes{3}}
	want := "01" + "82" + "5850" + // record version, [content of 80 bytes, signature]
		"84" + "582001" + repeat("00", 31) + "582002" + repeat("00", 31) + "fb3fb999999999999a" + "1818" +
		"584003" + repeat("00", 63)
	record, err := v.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(record); got != want {
		t.Errorf("record\n got %s\nwant %s", got, want)
	}
}
