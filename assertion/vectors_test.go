package assertion

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// update rewrites the vectors from the inputs below. They are an interface to
// other implementations: a change of an existing one is a change of format.
var update = flag.Bool("update", false, "rewrite testdata/signing-vectors.json")

// signingVector is one test vector of docs/signing.md.
type signingVector struct {
	Name string `json:"name"`
	// Kind is assertion, vote, epoch or supersession.
	Kind string `json:"kind"`
	// Input is the JSON form as a client may send it: not normalised, without
	// signatures. A vote, epoch or supersession has its agent_id in it.
	Input json.RawMessage `json:"input"`
	// Seeds are the 32-byte Ed25519 seeds of the signers in hexadecimal.
	Seeds            []string `json:"seeds"`
	SignatureVersion uint8    `json:"signature_version"`
	// Content is the canonical CBOR, Hash its hash, Message the bytes that are
	// signed, Signatures one for each seed.
	Content    string            `json:"content"`
	Hash       Hash              `json:"hash"`
	Message    string            `json:"message"`
	Signatures []vectorSignature `json:"signatures"`
}

type vectorSignature struct {
	AgentID   AgentID        `json:"agent_id"`
	Signature SignatureBytes `json:"signature"`
}

const vectorsFile = "testdata/signing-vectors.json"

func vectorSeed(n byte) string {
	return hex.EncodeToString(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func vectorAgent(n byte) string {
	return AgentOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))).String()
}

// vectorInputs are what the vectors are made from.
func vectorInputs() []signingVector {
	source := `"source_hash":"` + Hash(bytes.Repeat([]byte{0x11}, 32)).String() + `"`
	number := func(name, literal string) signingVector {
		return signingVector{Name: name, Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(1)},
			Input: json.RawMessage(`{"subject":"s","predicate":"p","object":{"type":"Number","value":` + literal +
				`},"confidence":1,` + source + `,"timestamp":0}`)}
	}
	full := `{"subject":"Semaglutide:Type2Diabetes","predicate":"nausea_rate","object":{"type":"Number","value":44.2},` +
		`"confidence":0.9,"source_class":"Clinical",` + source +
		`,"source_metadata":{"trial":"NCT03548935","doi":"10.1056/NEJMoa2032183","arms":[{"n":1306.0},{"n":6.55e2}],"synthetic":false,"\u20ac":"\u00e9"},` +
		`"lifecycle":"Approved","parent_hash":"` + repeat("a1", 32) + `","epoch":"` + repeat("a2", 32) +
		`","visual_hash":"0123456789abcdef","vector":[1,-2.5,0.1,-0.0,1e-45],"derived_from":["` + repeat("b2", 32) + `","` + repeat("b1", 32) +
		`"],"timestamp":1700000000}`
	return []signingVector{
		{Name: "text", Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(1)}, Input: json.RawMessage(
			`{"subject":"Semaglutide","predicate":"mechanism","object":{"type":"Text","value":"GLP-1 receptor agonist"},"confidence":1,"source_class":"Regulatory",` + source + `,"timestamp":1700000000}`)},
		{Name: "number", Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(1)}, Input: json.RawMessage(
			`{"subject":"Semaglutide","predicate":"nausea_rate","object":{"Number":44.2},"confidence":0.9,"source_class":"PeerReviewed",` + source + `,"timestamp":1700000000}`)},
		{Name: "boolean", Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(1)}, Input: json.RawMessage(
			`{"subject":"Semaglutide","predicate":"approved_eu","object":{"type":"Boolean","value":true},"confidence":0.5,"source_class":"Expert","lifecycle":"UnderReview",` + source + `,"timestamp":1700000000}`)},
		{Name: "reference", Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(1)}, Input: json.RawMessage(
			`{"subject":"Ozempic","predicate":"active_substance","object":{"type":"Reference","value":"Semaglutide"},"confidence":0.25,` + source + `,"timestamp":1700000000}`)},
		{Name: "unicode that NFC changes", Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(2)}, Input: json.RawMessage(
			`{"subject":"Cafe\u0301 \u212b","predicate":"\u1100\u1161\u11a8","object":{"type":"Text","value":"q\u0307\u0323 \ud83d\ude00 \ufb01"},"confidence":1,` + source + `,"timestamp":1}`)},
		number("float zero", "0"),
		number("float negative zero", "-0.0"),
		number("float one", "1.0"),
		number("float 0.1", "0.1"),
		number("float largest half", "65504"),
		number("float smallest subnormal half", "5.960464477539063e-8"),
		number("float single", "16777216.0"),
		number("float largest single", "3.4028234663852886e38"),
		number("float smallest subnormal single", "1.401298464324817e-45"),
		number("float smallest subnormal double", "5e-324"),
		number("float largest double", "1.7976931348623157e308"),
		number("float negative", "-4.1"),
		number("float 1e21", "1e21"),
		number("float above 2^53", "9007199254740994"),
		{Name: "all optional fields", Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(3)}, Input: json.RawMessage(full)},
		{Name: "three signers", Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(1), vectorSeed(2), vectorSeed(3)}, Input: json.RawMessage(full)},
		{Name: "signature version 1", Kind: "assertion", SignatureVersion: 1, Seeds: []string{vectorSeed(1)}, Input: json.RawMessage(
			`{"subject":"Cafe\u0301","predicate":"open","object":{"type":"Boolean","value":false},"confidence":1,` + source + `,"timestamp":1}`)},
		{Name: "long text", Kind: "assertion", SignatureVersion: 2, Seeds: []string{vectorSeed(1)}, Input: json.RawMessage(
			`{"subject":"s","predicate":"p","object":{"type":"Text","value":"` + repeat("x", 300) + `"},"confidence":1,` + source + `,"timestamp":4294967296}`)},
		{Name: "vote", Kind: "vote", SignatureVersion: 2, Seeds: []string{vectorSeed(4)}, Input: json.RawMessage(
			`{"assertion_hash":"` + repeat("c1", 32) + `","agent_id":"` + vectorAgent(4) + `","weight":0.75,"timestamp":1700000000}`)},
		{Name: "first epoch", Kind: "epoch", SignatureVersion: 2, Seeds: []string{vectorSeed(5)}, Input: json.RawMessage(
			`{"name":"Guideline 2025","agent_id":"` + vectorAgent(5) + `","timestamp":1700000000}`)},
		{Name: "epoch that refines another", Kind: "epoch", SignatureVersion: 2, Seeds: []string{vectorSeed(5)}, Input: json.RawMessage(
			`{"name":"Re\u0301vision 2026","supersedes":"` + repeat("c2", 32) + `","supersession_type":"Refines","agent_id":"` + vectorAgent(5) + `","timestamp":1750000000}`)},
		{Name: "supersession by another assertion", Kind: "supersession", SignatureVersion: 2, Seeds: []string{vectorSeed(6)}, Input: json.RawMessage(
			`{"superseded":"` + repeat("c3", 32) + `","by":"` + repeat("c4", 32) + `","type":"Replaces","reason":"erratum of table 2","agent_id":"` + vectorAgent(6) + `","timestamp":1750000000}`)},
		{Name: "retraction", Kind: "supersession", SignatureVersion: 2, Seeds: []string{vectorSeed(6)}, Input: json.RawMessage(
			`{"superseded":"` + repeat("c3", 32) + `","type":"Retracts","agent_id":"` + vectorAgent(6) + `","timestamp":1750000000}`)},
	}
}

// computed returns the vector with everything that follows from its input.
func (v signingVector) computed(t *testing.T) signingVector {
	t.Helper()
	content, hash, message := v.canonical(t)
	v.Content, v.Hash, v.Message, v.Signatures = hex.EncodeToString(content), hash, hex.EncodeToString(message), nil
	for _, seed := range v.Seeds {
		b, err := hex.DecodeString(seed)
		if err != nil {
			t.Fatal(err)
		}
		key := ed25519.NewKeyFromSeed(b)
		v.Signatures = append(v.Signatures, vectorSignature{AgentOf(key), SignatureBytes(ed25519.Sign(key, message))})
	}
	return v
}

// canonical decodes the input and returns its content, hash and signed bytes.
func (v signingVector) canonical(t *testing.T) (content []byte, hash Hash, message []byte) {
	t.Helper()
	var (
		value interface {
			Validate() error
			ContentBytes() []byte
		}
		err error
	)
	switch v.Kind {
	case "assertion":
		var a *Assertion
		if a, err = DecodeJSON(v.Input); err == nil {
			value, hash = a, a.ContentHash()
			if v.SignatureVersion == SignatureV1 {
				message = []byte(a.Subject + ":" + a.Predicate)
			}
		}
	case "vote":
		var vote *Vote
		if vote, err = DecodeVoteJSON(v.Input); err == nil {
			value, hash = vote, vote.Hash()
		}
	case "epoch":
		var epoch *Epoch
		if epoch, err = DecodeEpochJSON(v.Input); err == nil {
			value, hash = epoch, epoch.Hash()
		}
	case "supersession":
		var supersession *Supersession
		if supersession, err = DecodeSupersessionJSON(v.Input); err == nil {
			value, hash = supersession, supersession.Hash()
		}
	default:
		t.Fatalf("kind %q", v.Kind)
	}
	if err == nil {
		err = value.Validate()
	}
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	if message == nil {
		message = hash[:]
	}
	return value.ContentBytes(), hash, message
}

// verify submits the input with the vector's signatures, as a client would.
func (v signingVector) verify(t *testing.T) error {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(v.Input, &members); err != nil {
		t.Fatal(err)
	}
	encode := func(value any) json.RawMessage {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if v.Kind != "assertion" {
		members["signature"] = encode(v.Signatures[0].Signature)
		switch v.Kind {
		case "vote":
			vote, err := DecodeVoteJSON(encode(members))
			return firstError(err, func() error { return vote.Verify() })
		case "epoch":
			epoch, err := DecodeEpochJSON(encode(members))
			return firstError(err, func() error { return epoch.Verify() })
		}
		supersession, err := DecodeSupersessionJSON(encode(members))
		return firstError(err, func() error { return supersession.Verify() })
	}
	signatures := make([]Signature, len(v.Signatures))
	for i, s := range v.Signatures {
		signatures[i] = Signature{AgentID: s.AgentID, Signature: s.Signature, Version: v.SignatureVersion}
	}
	members["signatures"] = encode(signatures)
	a, err := DecodeJSON(encode(members))
	return firstError(err, func() error { return a.Verify(VerifyOptions{AcceptV1: true}) })
}

func firstError(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

func readVectors(t *testing.T) []signingVector {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(vectorsFile))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []signingVector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// TestVectors holds the code to the published vectors: every input gives the
// content, the hash and the signatures of the file, and verifies.
func TestVectors(t *testing.T) {
	if *update {
		vectors := vectorInputs()
		for i := range vectors {
			vectors[i] = vectors[i].computed(t)
		}
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(vectors); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.FromSlash(vectorsFile), text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	vectors := readVectors(t)
	if len(vectors) != len(vectorInputs()) {
		t.Errorf("%d vectors in the file, %d inputs: run with -update", len(vectors), len(vectorInputs()))
	}
	for _, vector := range vectors {
		t.Run(vector.Name, func(t *testing.T) {
			want := vector.computed(t)
			if vector.Content != want.Content || vector.Hash != want.Hash || vector.Message != want.Message {
				t.Errorf("computed\ncontent %s\nhash    %s\nmessage %s\nthe file says\ncontent %s\nhash    %s\nmessage %s",
					want.Content, want.Hash, want.Message, vector.Content, vector.Hash, vector.Message)
			}
			for i := range want.Signatures {
				if vector.Signatures[i] != want.Signatures[i] {
					t.Errorf("signature %d: computed %v, the file says %v", i, want.Signatures[i], vector.Signatures[i])
				}
			}
			if err := vector.verify(t); err != nil {
				t.Errorf("does not verify: %v", err)
			}
			vector.Signatures[0].Signature[40] ^= 1
			if err := vector.verify(t); codeOf(t, err) != CodeSignatureInvalid {
				t.Errorf("verifies with a changed signature: %v", err)
			}
		})
	}
}

// TestVectorsByHand checks contents of the file against bytes written by hand
// from docs/signing.md.
func TestVectorsByHand(t *testing.T) {
	// s, p, [Number, the float], confidence 1, Anecdotal, source, no metadata,
	// Proposed, four absent fields, no derivations, timestamp 0
	number := func(float string) string {
		return "8e" + "6173" + "6170" + "8202" + float + "f93c00" + "05" + "5820" + repeat("11", 32) + "f6" + "00" + "f6f6f6f6" + "80" + "00"
	}
	want := map[string]string{
		"float zero":                      number("f90000"),
		"float negative zero":             number("f90000"),
		"float one":                       number("f93c00"),
		"float 0.1":                       number("fb3fb999999999999a"),
		"float largest half":              number("f97bff"),
		"float smallest subnormal half":   number("f90001"),
		"float single":                    number("fa4b800000"),
		"float largest single":            number("fa7f7fffff"),
		"float smallest subnormal single": number("fa00000001"),
		"float smallest subnormal double": number("fb0000000000000001"),
		"float largest double":            number("fb7fefffffffffffff"),
		"float negative":                  number("fbc010666666666666"), // RFC 8949, appendix A
		"float 1e21":                      number("fb444b1ae4d6e2ef50"),
		"float above 2^53":                number("fb4340000000000001"),
		"vote":                            "84" + "5820" + repeat("c1", 32) + "5820" + vectorAgent(4) + "f93a00" + "1a6553f100",
		"first epoch":                     "85" + "6e" + hex.EncodeToString([]byte("Guideline 2025")) + "f6" + "00" + "5820" + vectorAgent(5) + "1a6553f100",
		"retraction":                      "86" + "5820" + repeat("c3", 32) + "f6" + "03" + "60" + "5820" + vectorAgent(6) + "1a684ee180",
		"supersession by another assertion": "86" + "5820" + repeat("c3", 32) + "5820" + repeat("c4", 32) + "01" +
			"72" + hex.EncodeToString([]byte("erratum of table 2")) + "5820" + vectorAgent(6) + "1a684ee180",
	}
	// "Cafe" with a combining acute, a space and the angstrom sign become
	// 43 61 66 c3a9 20 c385; three Hangul jamo the syllable eab081; q with two
	// marks has no composed form, but its marks change places (71 cca3 cc87);
	// the ligature stays, NFC keeps compatibility characters.
	want["unicode that NFC changes"] = "8e" + "68" + "436166c3a920c385" + "63" + "eab081" +
		"8201" + "6e" + "71cca3cc87" + "20" + "f09f9880" + "20" + "efac81" +
		"f93c00" + "05" + "5820" + repeat("11", 32) + "f6" + "00" + "f6f6f6f6" + "80" + "01"
	found := 0
	for _, vector := range readVectors(t) {
		if content, ok := want[vector.Name]; ok {
			found++
			if vector.Content != content {
				t.Errorf("%s\n got %s\nwant %s", vector.Name, vector.Content, content)
			}
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d vectors are in the file", found, len(want))
	}
}
