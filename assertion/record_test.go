package assertion

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestRecordRoundTrip: a record gives back the assertion and its hash, and
// encodes to the same bytes.
func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genSigned().Draw(t, "assertion")
		record, err := a.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		got, hash, err := DecodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, got); diff != "" {
			t.Fatal(diff)
		}
		if hash != a.ContentHash() {
			t.Fatalf("hash %s, want %s", hash, a.ContentHash())
		}
		var unmarshalled Assertion
		if err := unmarshalled.UnmarshalBinary(record); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, &unmarshalled); diff != "" {
			t.Fatal(diff)
		}
		again, err := got.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, record) {
			t.Fatalf("encodes again as\n%x, was\n%x", again, record)
		}
	})
}

// TestRecordByHand fixes the bytes of the record format, which logs and
// databases hold.
func TestRecordByHand(t *testing.T) {
	a := &Assertion{Subject: "s", Predicate: "p", Object: Boolean(true), Confidence: 1, SourceClass: Anecdotal, Timestamp: 1}
	a.Signatures = []Signature{{AgentID: AgentID(bytes.Repeat([]byte{0xbb}, 32)),
		Signature: SignatureBytes(bytes.Repeat([]byte{0xcc}, 64)), Timestamp: 2, Version: 2}}
	want := "01" + // record version
		"82" + // [content, signatures]
		"5836" + // content: 54 bytes
		"8e" + "6173" + "6170" + "8203f5" + "f93c00" + "05" + "5820" + repeat("00", 32) +
		"f6" + "00" + "f6" + "f6" + "f6" + "f6" + "80" + "01" +
		"81" + "84" + "5820" + repeat("bb", 32) + "5840" + repeat("cc", 64) + "02" + "02"
	record, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(record); got != want {
		t.Errorf("record\n got %s\nwant %s", got, want)
	}
}

// TestRecordRefusesDamage: no byte of a record can be changed, dropped or added
// so that it decodes to the same assertion; what decodes at all encodes to the
// changed bytes.
func TestRecordRefusesDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record, err := genSigned().Draw(t, "assertion").MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(record)
		switch at := rapid.IntRange(0, len(record)-1).Draw(t, "at"); rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			damaged[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1:
			damaged = damaged[:at]
		case 2:
			damaged = append(damaged, byte(at))
		}
		a, _, err := DecodeRecord(damaged)
		if err != nil {
			if codeOf(t, err) != CodeRecordInvalid {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		again, err := a.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, damaged) {
			t.Fatalf("accepted\n%x, which encodes as\n%x", damaged, again)
		}
	})
}

func TestRecordRefusesUnknownVersion(t *testing.T) {
	record, err := benchAssertion(1).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []byte{0, 2, 0xff} {
		record[0] = version
		if _, _, err := DecodeRecord(record); codeOf(t, err) != CodeRecordInvalid {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestRecordLimit: an assertion of the largest content still fits in a record
// with every signature it may get.
func TestRecordLimit(t *testing.T) {
	a := &Assertion{Subject: "s", Predicate: "p", SourceClass: Anecdotal, Timestamp: 1 << 40}
	a.Object = Text("")
	a.Object = Text(repeat("x", MaxContentBytes-len(a.ContentBytes())-2)) // the head of the text grows by two bytes
	if n := len(a.ContentBytes()); n != MaxContentBytes {
		t.Fatalf("%d bytes of content", n)
	}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	for n := range MaxSignatures {
		a.Sign(testKey(byte(n)), 1<<63)
	}
	record, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if len(record) > MaxRecordBytes {
		t.Errorf("%d bytes of record", len(record))
	}
	if _, _, err := DecodeRecord(record); err != nil {
		t.Error(err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeJSON(text); err != nil {
		t.Error(err)
	}
	a.Object = Text(a.Object.text + "x")
	if err := a.Validate(); codeOf(t, err) != CodeTooLarge {
		t.Errorf("one byte more: %v", err)
	}
}

// TestJSONRoundTrip: what encoding/json writes, DecodeJSON reads back.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genSigned().Draw(t, "assertion")
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeJSON(text)
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if diff := cmp.Diff(a, got); diff != "" {
			t.Fatal(diff)
		}
		if err := got.Verify(VerifyOptions{}); err != nil {
			t.Fatal(err)
		}
		var plain Assertion
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatal(err)
		}
	})
}

// TestContentRefusesOtherEncodings: content that is well-formed CBOR, but not
// what ContentBytes would write.
func TestContentRefusesOtherEncodings(t *testing.T) {
	source, absent := "5820"+repeat("11", 32), "f6"
	content := func(edit func(parts []string) []string) []byte {
		parts := edit([]string{"6173", "6170", "8203f5", "f93c00", "05", source, absent, "00", absent, absent, absent, absent, "80", "00"})
		b, err := hex.DecodeString("8e" + strings.Join(parts, ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	replace := func(i int, part string) []byte {
		return content(func(parts []string) []string { parts[i] = part; return parts })
	}
	if err := new(Assertion).decodeContent(replace(0, "6173")); err != nil {
		t.Fatalf("the content that every case changes is refused: %v", err)
	}
	for name, b := range map[string][]byte{
		"no object":             replace(2, absent),
		"confidence as integer": replace(3, "01"),
		"unknown class":         replace(4, "06"),
		"source too short":      replace(5, "581f"+repeat("11", 31)),
		"source absent":         replace(5, absent),
		"metadata as bytes":     replace(6, "427b7d"),
		"unknown stage":         replace(7, "05"),
		"parent too long":       replace(8, "5821"+repeat("11", 33)),
		"visual hash too short": replace(10, "4701020304050607"),
		"vector empty":          replace(11, "40"),
		"vector of three bytes": replace(11, "43010203"),
		"vector too long":       replace(11, "594004"+repeat("00", 4*MaxVectorLen+4)),
		"too many derivations":  replace(12, "9841"+repeat(source, MaxDerivedFrom+1)),
		"derivations absent":    replace(12, absent),
		"timestamp absent":      replace(13, absent),
		"one field too few":     content(func(parts []string) []string { return parts[:13] }),
		"one field too many":    content(func(parts []string) []string { return append(parts, "00") }),
	} {
		if err := new(Assertion).decodeContent(b); codeOf(t, err) != CodeRecordInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRecordRefusesTooMuch: sizes that no valid assertion reaches are refused
// before anything is made of them.
func TestRecordRefusesTooMuch(t *testing.T) {
	a := benchAssertion(1)
	a.Object = Text(repeat("x", MaxContentBytes))
	crowded := benchAssertion(1)
	for range MaxSignatures {
		crowded.Signatures = append(crowded.Signatures, crowded.Signatures[0])
	}
	for name, tooMuch := range map[string]*Assertion{"content": a, "signatures": crowded} {
		record, err := tooMuch.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := DecodeRecord(record); codeOf(t, err) != CodeRecordInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := crowded.Verify(VerifyOptions{}); codeOf(t, err) != CodeTooManySignatures {
		t.Errorf("%v", err)
	}
	if err := new(Assertion).UnmarshalBinary(nil); codeOf(t, err) != CodeRecordInvalid {
		t.Errorf("%v", err)
	}
}
