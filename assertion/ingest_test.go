package assertion

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

const testNow = 1700000000

// ingest is the path of a write through this room, in its order.
func ingest(text []byte, o VerifyOptions) (*Assertion, Hash, error) {
	a, err := DecodeJSON(text)
	if err != nil {
		return nil, Hash{}, err
	}
	if err := a.Validate(); err != nil {
		return nil, Hash{}, err
	}
	if err := a.CheckTimestamp(testNow); err != nil {
		return nil, Hash{}, err
	}
	if err := a.Verify(o); err != nil {
		return nil, Hash{}, err
	}
	record, err := a.MarshalBinary()
	if err != nil {
		return nil, Hash{}, err
	}
	return DecodeRecord(record)
}

// claimJSON returns the JSON form of a signed claim after edit has changed its
// members.
func claimJSON(t *testing.T, signers int, edit func(map[string]any)) []byte {
	t.Helper()
	a := &Assertion{Subject: "Semaglutide", Predicate: "nausea_rate", Object: Number(44.2), Confidence: 0.9,
		SourceClass: Clinical, SourceHash: Hash{1}, Timestamp: testNow}
	for n := range signers {
		a.Sign(testKey(byte(n)), testNow)
	}
	return editedJSON(t, a, edit)
}

func editedJSON(t *testing.T, a *Assertion, edit func(map[string]any)) []byte {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	edit(members)
	text, err = json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestIngestAssertion(t *testing.T) {
	for name, object := range map[string]ObjectValue{
		"text": Text("nausea\nvomiting"), "number": Number(-5e-324), "boolean": Boolean(false), "reference": Reference("MeSH:D009325"),
	} {
		t.Run(name, func(t *testing.T) {
			sent := &Assertion{Subject: "Semaglutide", Predicate: "effect", Object: object, Confidence: 1,
				SourceClass: Regulatory, SourceHash: Hash{1}, Timestamp: testNow + MaxFutureSeconds}
			sent.Sign(testKey(1), testNow)
			sent.Sign(testKey(2), testNow+1)
			stored, hash, err := ingest(editedJSON(t, sent, func(map[string]any) {}), VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if stored.Object != object || hash != sent.ContentHash() || len(stored.Signatures) != 2 {
				t.Errorf("stored %+v as %s", stored, hash)
			}
		})
	}
}

// TestIngestAssertionDefaults: what the JSON form may leave out.
func TestIngestAssertionDefaults(t *testing.T) {
	a, err := DecodeJSON([]byte(`{"subject":"s","predicate":"p","object":{"Number":1},"confidence":1,` +
		`"source_hash":"` + Hash{1}.String() + `","timestamp":1,"epoch":null,"source_metadata":null,` +
		`"signatures":[{"agent_id":"` + AgentID{2}.String() + `","signature":"` + SignatureBytes{3}.String() + `"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if a.SourceClass != Anecdotal || a.Lifecycle != Proposed || a.Epoch != nil || a.SourceMetadata != nil ||
		a.Signatures[0].Version != SignatureV2 || a.Object != Number(1) {
		t.Errorf("%+v", a)
	}
}

// TestIngestAssertionSignedBeforeNormalisation: a signer who normalises by
// docs/signing.md may send the text as it was typed.
func TestIngestAssertionSignedBeforeNormalisation(t *testing.T) {
	a := &Assertion{Subject: "Café", Predicate: "p", Object: Text("Å"), SourceClass: Expert, Timestamp: 1}
	a.Sign(testKey(1), 1)
	text := editedJSON(t, a, func(m map[string]any) {
		m["subject"] = "Cafe\u0301"
		m["object"] = map[string]any{"value": "\u212b", "type": "Text"}
	})
	stored, hash, err := ingest(text, VerifyOptions{})
	if err != nil || hash != a.ContentHash() || stored.Subject != "Café" {
		t.Errorf("%+v %v %v", stored, hash, err)
	}
}

// TestIngestAssertionNegativeZero: -0 is read as 0, wherever a number stands.
func TestIngestAssertionNegativeZero(t *testing.T) {
	a := &Assertion{Subject: "s", Predicate: "p", Object: Number(0), SourceClass: Expert, Vector: []float32{0}, Timestamp: 1}
	a.Sign(testKey(1), 1)
	minus := json.RawMessage("-0.0")
	text := editedJSON(t, a, func(m map[string]any) {
		m["object"], m["confidence"], m["vector"] = map[string]any{"Number": minus}, minus, []any{minus}
	})
	stored, _, err := ingest(text, VerifyOptions{})
	if err != nil || math.Signbit(stored.Confidence) || math.Signbit(float64(stored.Vector[0])) {
		t.Errorf("%+v %v", stored, err)
	}
	vote, err := DecodeVoteJSON([]byte(`{"assertion_hash":"` + Hash{1}.String() + `","agent_id":"` + Hash{2}.String() + `","weight":-0.0,"timestamp":1}`))
	if err != nil || vote.Validate() != nil || math.Signbit(vote.Weight) {
		t.Errorf("%+v %v", vote, err)
	}
}

func TestIngestAssertionV1(t *testing.T) {
	a := &Assertion{Subject: "s", Predicate: "p", Object: Boolean(true), SourceClass: Expert, Timestamp: 1}
	a.SignV1(testKey(1), 1)
	text := editedJSON(t, a, func(map[string]any) {})
	if _, _, err := ingest(text, VerifyOptions{}); codeOf(t, err) != CodeSignatureV1Disabled {
		t.Errorf("v1 off: %v", err)
	}
	stored, hash, err := ingest(text, VerifyOptions{AcceptV1: true})
	if err != nil || hash != a.ContentHash() || stored.Signatures[0].Version != SignatureV1 {
		t.Errorf("v1 on: %+v %v", stored, err)
	}
	// The danger that docs/signing.md describes: the object is not covered.
	forged := editedJSON(t, a, func(m map[string]any) { m["object"] = map[string]any{"Boolean": false} })
	if _, _, err := ingest(forged, VerifyOptions{AcceptV1: true}); err != nil {
		t.Errorf("v1 covers more than it says: %v", err)
	}
	a.Sign(testKey(2), 1)
	if _, _, err := ingest(editedJSON(t, a, func(map[string]any) {}), VerifyOptions{AcceptV1: true}); codeOf(t, err) != CodeSignatureVersionsMixed {
		t.Errorf("v1 beside v2: %v", err)
	}
}

func TestRejectsUnsigned(t *testing.T) {
	for name, edit := range map[string]func(map[string]any){
		"empty":  func(m map[string]any) { m["signatures"] = []any{} },
		"absent": func(m map[string]any) { delete(m, "signatures") },
		"null":   func(m map[string]any) { m["signatures"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ingest(claimJSON(t, 1, edit), VerifyOptions{AcceptV1: true})
			if codeOf(t, err) != CodeUnsigned {
				t.Errorf("%v", err)
			}
		})
	}
}

func signatureOf(m map[string]any, i int) map[string]any {
	return m["signatures"].([]any)[i].(map[string]any)
}

func setNumber(token string) func(map[string]any) {
	return func(m map[string]any) {
		m["object"] = map[string]any{"type": "Number", "value": json.RawMessage(token)}
	}
}

func set(field string, value any) func(map[string]any) {
	return func(m map[string]any) { m[field] = value }
}

func TestRejectsInvalid(t *testing.T) {
	long := strings.Repeat("x", MaxNameBytes+1)
	hashes := make([]any, MaxDerivedFrom+1)
	for i := range hashes {
		hashes[i] = Hash{byte(i)}.String()
	}
	deep := strings.Repeat(`{"a":`, MaxMetadataDepth+1) + "1" + strings.Repeat("}", MaxMetadataDepth+1)
	for _, test := range []struct {
		name  string
		edit  func(map[string]any)
		code  string
		field string
	}{
		{"unknown field", set("colour", "red"), CodeUnknownField, "colour"},
		{"field in other case", set("Subject", "s"), CodeUnknownField, "Subject"},
		{"no subject", func(m map[string]any) { delete(m, "subject") }, CodeMissingField, "subject"},
		{"no confidence", func(m map[string]any) { delete(m, "confidence") }, CodeMissingField, "confidence"},
		{"null timestamp", set("timestamp", nil), CodeInvalidField, "timestamp"},
		{"subject is a number", set("subject", 1), CodeInvalidField, "subject"},
		{"subject empty", set("subject", ""), CodeSubjectInvalid, "subject"},
		{"subject too long", set("subject", long), CodeSubjectInvalid, "subject"},
		{"subject too long in NFC", set("subject", strings.Repeat("\u0344", MaxNameBytes/4+1)), CodeSubjectInvalid, "subject"},
		{"subject with control", set("subject", "a\nb"), CodeSubjectInvalid, "subject"},
		{"subject with C1 control", set("subject", "a\u0085b"), CodeSubjectInvalid, "subject"},
		{"predicate too long", set("predicate", long), CodePredicateInvalid, "predicate"},
		{"predicate with NUL", set("predicate", "a\x00"), CodePredicateInvalid, "predicate"},
		{"object is a string", set("object", "x"), CodeInvalidField, "object"},
		{"object empty", set("object", map[string]any{}), CodeMissingField, "object.type"},
		{"object without value", set("object", map[string]any{"type": "Text"}), CodeMissingField, "object.value"},
		{"object of unknown type", set("object", map[string]any{"type": "Date", "value": 1}), CodeObjectInvalid, "object.type"},
		{"object of unknown short type", set("object", map[string]any{"Date": 1}), CodeUnknownField, "object.Date"},
		{"object with two values", set("object", map[string]any{"Text": "a", "Number": 1}), CodeObjectInvalid, "object"},
		{"object short and long", set("object", map[string]any{"Text": "a", "type": "Text", "value": "a"}), CodeObjectInvalid, "object"},
		{"object type against value", set("object", map[string]any{"type": "Number", "value": "1"}), CodeObjectInvalid, "object.value"},
		{"object boolean as number", set("object", map[string]any{"type": "Boolean", "value": 1}), CodeObjectInvalid, "object.value"},
		{"object text as null", set("object", map[string]any{"type": "Text", "value": nil}), CodeObjectInvalid, "object.value"},
		{"object text with NUL", set("object", map[string]any{"Text": "a\x00"}), CodeObjectInvalid, "object.value"},
		{"object reference with control", set("object", map[string]any{"Reference": "a\tb"}), CodeObjectInvalid, "object.value"},
		{"object reference empty", set("object", map[string]any{"Reference": ""}), CodeObjectInvalid, "object.value"},
		{"object too large", set("object", map[string]any{"Text": strings.Repeat("x", MaxContentBytes)}), CodeTooLarge, ""},
		{"JSON too large", set("object", map[string]any{"Text": strings.Repeat("x", MaxJSONBytes)}), CodeTooLarge, ""},
		{"object 1e999", setNumber("1e999"), CodeNumberNotFinite, "object.value"},
		{"object -1e999", setNumber("-1e999"), CodeNumberNotFinite, "object.value"},
		{"object NaN as string", setNumber(`"NaN"`), CodeNumberNotFinite, "object.value"},
		{"object -Infinity as string", setNumber(`"-Infinity"`), CodeNumberNotFinite, "object.value"},
		{"confidence NaN as string", set("confidence", "NaN"), CodeNumberNotFinite, "confidence"},
		{"confidence 1e999", set("confidence", json.RawMessage("1e999")), CodeNumberNotFinite, "confidence"},
		{"confidence above 1", set("confidence", math.Nextafter(1, 2)), CodeConfidenceOutOfRange, "confidence"},
		{"confidence below 0", set("confidence", -0.1), CodeConfidenceOutOfRange, "confidence"},
		{"confidence is a string", set("confidence", "high"), CodeInvalidField, "confidence"},
		{"unknown source class", set("source_class", "Gossip"), CodeSourceClassInvalid, "source_class"},
		{"source hash short", set("source_hash", "ab"), CodeHashInvalid, "source_hash"},
		{"source hash in upper case", set("source_hash", strings.Repeat("AB", 32)), CodeHashInvalid, "source_hash"},
		{"metadata is an array", set("source_metadata", []any{1}), CodeSourceMetadataInvalid, "source_metadata"},
		{"metadata is a string", set("source_metadata", "x"), CodeSourceMetadataInvalid, "source_metadata"},
		{"metadata too long", set("source_metadata", map[string]any{"a": strings.Repeat("x", MaxMetadataBytes)}), CodeSourceMetadataInvalid, "source_metadata"},
		{"metadata too deep", set("source_metadata", json.RawMessage(deep)), CodeSourceMetadataInvalid, "source_metadata"},
		{"metadata with a repeated name", set("source_metadata", json.RawMessage(`{"a":1,"\u0061":2}`)), CodeSourceMetadataInvalid, "source_metadata"},
		{"metadata with a lone surrogate", set("source_metadata", json.RawMessage(`{"a":"\ud800"}`)), CodeSourceMetadataInvalid, "source_metadata"},
		{"metadata with a noncharacter", set("source_metadata", map[string]any{"a": "\ufffe"}), CodeSourceMetadataInvalid, "source_metadata"},
		{"metadata with 1e999", set("source_metadata", json.RawMessage(`{"a":1e999}`)), CodeSourceMetadataInvalid, "source_metadata"},
		{"metadata with a rounded integer", set("source_metadata", json.RawMessage(`{"id":9007199254740993}`)), CodeSourceMetadataInvalid, "source_metadata"},
		{"unknown lifecycle", set("lifecycle", "approved"), CodeLifecycleInvalid, "lifecycle"},
		{"parent hash", set("parent_hash", "x"), CodeHashInvalid, "parent_hash"},
		{"visual hash", set("visual_hash", Hash{}.String()), CodeHashInvalid, "visual_hash"},
		{"vector beyond float32", set("vector", []any{1, 1e39}), CodeNumberNotFinite, "vector[1]"},
		{"vector of strings", set("vector", []any{"a"}), CodeInvalidField, "vector[0]"},
		{"vector too long", set("vector", make([]float32, MaxVectorLen+1)), CodeVectorInvalid, "vector"},
		{"derivation repeated", set("derived_from", []any{Hash{1}.String(), Hash{2}.String(), Hash{1}.String()}), CodeDerivedFromInvalid, "derived_from[2]"},
		{"derivation no hash", set("derived_from", []any{Hash{1}.String(), "x"}), CodeHashInvalid, "derived_from[1]"},
		{"too many derivations", set("derived_from", hashes), CodeDerivedFromInvalid, "derived_from"},
		{"timestamp negative", set("timestamp", -1), CodeInvalidField, "timestamp"},
		{"timestamp with fraction", set("timestamp", 1.5), CodeInvalidField, "timestamp"},
		{"timestamp beyond 64 bits", set("timestamp", json.RawMessage("18446744073709551616")), CodeInvalidField, "timestamp"},
		{"timestamp in the future", set("timestamp", testNow+MaxFutureSeconds+1), CodeTimestampInFuture, "timestamp"},
		{"signatures are an object", set("signatures", map[string]any{}), CodeInvalidField, "signatures"},
		{"wrong signature", func(m map[string]any) { signatureOf(m, 0)["signature"] = SignatureBytes{1}.String() }, CodeSignatureInvalid, "signatures[0].signature"},
		{"changed object", set("object", map[string]any{"Number": 44.3}), CodeSignatureInvalid, "signatures[0].signature"},
		{"one bad signature among three", func(m map[string]any) {
			signatureOf(m, 1)["signature"] = signatureOf(m, 2)["signature"]
		}, CodeSignatureInvalid, "signatures[1].signature"},
		{"agent is no point", func(m map[string]any) { signatureOf(m, 2)["agent_id"] = "02" + strings.Repeat("00", 31) }, CodeSignatureInvalid, "signatures[2].signature"},
		{"agent id short", func(m map[string]any) { signatureOf(m, 1)["agent_id"] = "00" }, CodeHashInvalid, "signatures[1].agent_id"},
		{"signature without agent", func(m map[string]any) { delete(signatureOf(m, 1), "agent_id") }, CodeMissingField, "signatures[1].agent_id"},
		{"signature with an unknown field", func(m map[string]any) { signatureOf(m, 1)["key"] = 1 }, CodeUnknownField, "signatures[1].key"},
		{"signature of version 3", func(m map[string]any) { signatureOf(m, 1)["version"] = 3 }, CodeSignatureVersionUnsupported, "signatures[1].version"},
		{"signature of version 0", func(m map[string]any) { signatureOf(m, 1)["version"] = 0 }, CodeSignatureVersionUnsupported, "signatures[1].version"},
		{"signature of version 256", func(m map[string]any) { signatureOf(m, 1)["version"] = 256 }, CodeInvalidField, "signatures[1].version"},
		{"signature of version 1", func(m map[string]any) { signatureOf(m, 0)["version"] = 1 }, CodeSignatureV1Disabled, "signatures[0].version"},
		{"same signer twice", func(m map[string]any) { m["signatures"] = append(m["signatures"].([]any), signatureOf(m, 0)) }, CodeDuplicateSigner, "signatures[3].agent_id"},
		{"too many signatures", func(m map[string]any) {
			for range MaxSignatures {
				m["signatures"] = append(m["signatures"].([]any), signatureOf(m, 0))
			}
		}, CodeTooManySignatures, "signatures"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := ingest(claimJSON(t, 3, test.edit), VerifyOptions{})
			if code := codeOf(t, err); code != test.code {
				t.Fatalf("%q (%v), want %q", code, err, test.code)
			}
			if fault := err.(*Error); fault.Field != test.field || fault.Detail == "" || fault.Fix == "" {
				t.Errorf("field %q, want %q; %v", fault.Field, test.field, err)
			}
		})
	}
	if _, _, err := ingest(claimJSON(t, 3, func(map[string]any) {}), VerifyOptions{}); err != nil {
		t.Errorf("the claim that every case changes is refused: %v", err)
	}
}

// TestRejectsInvalidText covers texts that encoding/json would not produce.
func TestRejectsInvalidText(t *testing.T) {
	valid := string(claimJSON(t, 1, func(map[string]any) {}))
	replace := func(old, new string) string {
		if !strings.Contains(valid, old) {
			t.Fatalf("%q is not in %s", old, valid)
		}
		return strings.Replace(valid, old, new, 1)
	}
	for _, test := range []struct{ name, text, code, field string }{
		{"empty", "", CodeInvalidJSON, ""},
		{"null", "null", CodeInvalidJSON, ""},
		{"array", "[" + valid + "]", CodeInvalidJSON, ""},
		{"cut", valid[:len(valid)-1], CodeInvalidJSON, ""},
		{"two values", valid + valid, CodeInvalidJSON, ""},
		{"text after the value", valid + "x", CodeInvalidJSON, ""},
		{"trailing comma", replace(`"Semaglutide"`, `"Semaglutide",`), CodeInvalidJSON, ""},
		{"repeated field", replace(`"subject"`, `"subject":"x","subject"`), CodeDuplicateField, "subject"},
		{"repeated field with an escape", replace(`"subject"`, `"subject":"x","\u0073ubject"`), CodeDuplicateField, "subject"},
		{"repeated type", replace(`"type"`, `"type":"Text","type"`), CodeDuplicateField, "object.type"},
		{"repeated value", replace(`"value"`, `"value":1,"value"`), CodeDuplicateField, "object.value"},
		{"bare NaN", replace("44.2", "NaN"), CodeNumberNotFinite, "object.value"},
		{"bare NaN before its type", replace(`{"type":"Number","value":44.2}`, `{"value":NaN,"type":"Number"}`), CodeNumberNotFinite, "object.value"},
		{"bare NaN in short form", replace(`{"type":"Number","value":44.2}`, `{"Number":NaN}`), CodeNumberNotFinite, "object.Number"},
		{"bare -Infinity", replace("44.2", "-Infinity"), CodeNumberNotFinite, "object.value"},
		{"bare NaN as confidence", replace("0.9", "NaN"), CodeNumberNotFinite, "confidence"},
		{"bare NaN as text", replace(`{"type":"Number","value":44.2}`, `{"type":"Text","value":NaN}`), CodeObjectInvalid, "object.value"},
		{"number with leading zero", replace("44.2", "044.2"), CodeInvalidJSON, "object.value"},
		{"number with plus", replace("44.2", "+44.2"), CodeInvalidJSON, "object.value"},
		{"number without digits after point", replace("44.2", "44."), CodeInvalidJSON, "object.value"},
		{"hexadecimal number", replace("44.2", "0x1p4"), CodeInvalidJSON, "object"},
		{"invalid UTF-8", replace("Semaglutide", "Sema\xffglutide"), CodeInvalidJSON, "subject"},
		{"invalid UTF-8 after an escape", replace("Semaglutide", `\n`+"\xff"), CodeInvalidJSON, "subject"},
		{"overlong UTF-8", replace("Semaglutide", "\xc0\xaf"), CodeInvalidJSON, "subject"},
		{"surrogate in UTF-8", replace("Semaglutide", "\xed\xa0\x80"), CodeInvalidJSON, "subject"},
		{"lone surrogate", replace("Semaglutide", `\ud800`), CodeInvalidJSON, "subject"},
		{"surrogates in wrong order", replace("Semaglutide", `\udc00\ud800`), CodeInvalidJSON, "subject"},
		{"bare control character", replace("Semaglutide", "a\nb"), CodeInvalidJSON, "subject"},
		{"bad escape", replace("Semaglutide", `\x41`), CodeInvalidJSON, "subject"},
		{"unicode escape with a sign", replace("Semaglutide", `\u+041`), CodeInvalidJSON, "subject"},
		{"NUL after the value", valid + "\x00", CodeInvalidJSON, ""},
		{"byte order mark", "\ufeff" + valid, CodeInvalidJSON, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := ingest([]byte(test.text), VerifyOptions{})
			if code := codeOf(t, err); code != test.code {
				t.Fatalf("%q (%v), want %q", code, err, test.code)
			}
			if fault := err.(*Error); fault.Field != test.field {
				t.Errorf("field %q, want %q; %v", fault.Field, test.field, err)
			}
		})
	}
}

// TestRejectsInvalidInGo covers what only a Go program can hand over.
func TestRejectsInvalidInGo(t *testing.T) {
	nan := float32(math.NaN())
	for name, test := range map[string]struct {
		edit func(*Assertion)
		code string
	}{
		"no object":           {func(a *Assertion) { a.Object = ObjectValue{} }, CodeObjectInvalid},
		"NaN":                 {func(a *Assertion) { a.Object = Number(math.NaN()) }, CodeNumberNotFinite},
		"infinity":            {func(a *Assertion) { a.Object = Number(math.Inf(-1)) }, CodeNumberNotFinite},
		"NaN confidence":      {func(a *Assertion) { a.Confidence = math.NaN() }, CodeNumberNotFinite},
		"NaN in vector":       {func(a *Assertion) { a.Vector = []float32{0, nan} }, CodeNumberNotFinite},
		"source class":        {func(a *Assertion) { a.SourceClass = NumTiers }, CodeSourceClassInvalid},
		"lifecycle":           {func(a *Assertion) { a.Lifecycle = Rejected + 1 }, CodeLifecycleInvalid},
		"subject not UTF-8":   {func(a *Assertion) { a.Subject = "\xff" }, CodeSubjectInvalid},
		"subject not NFC":     {func(a *Assertion) { a.Subject = "e\u0301" }, CodeSubjectInvalid},
		"text not UTF-8":      {func(a *Assertion) { a.Object = Text("\xff") }, CodeObjectInvalid},
		"text not NFC":        {func(a *Assertion) { a.Object = Text("e\u0301") }, CodeObjectInvalid},
		"metadata not JCS":    {func(a *Assertion) { a.SourceMetadata = []byte(`{ }`) }, CodeSourceMetadataInvalid},
		"metadata empty":      {func(a *Assertion) { a.SourceMetadata = []byte{} }, CodeSourceMetadataInvalid},
		"metadata not closed": {func(a *Assertion) { a.SourceMetadata = []byte(`{`) }, CodeSourceMetadataInvalid},
		"metadata two values": {func(a *Assertion) { a.SourceMetadata = []byte(`{}{}`) }, CodeSourceMetadataInvalid},
		"vector minus zero":   {func(a *Assertion) { a.Vector = []float32{float32(math.Copysign(0, -1))} }, CodeVectorInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			a := benchAssertion(1)
			test.edit(a)
			if err := a.Validate(); codeOf(t, err) != test.code {
				t.Errorf("%v, want %s", err, test.code)
			}
		})
	}
}

// TestNormalizeFailureChangesNothing: a refused assertion stays as it was.
func TestNormalizeFailureChangesNothing(t *testing.T) {
	a := &Assertion{Subject: "e\u0301", Predicate: "p", Object: Text("x"), SourceMetadata: []byte(`{"a":`)}
	if err := a.Normalize(); codeOf(t, err) != CodeSourceMetadataInvalid || a.Subject != "e\u0301" {
		t.Errorf("%v, subject %q", err, a.Subject)
	}
}
