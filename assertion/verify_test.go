package assertion

import (
	stdlib "crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"pgregory.net/rapid"
)

// smallOrderPoints are the fourteen encodings of the eight points of small
// order that ZIP 215 admits: eight canonical ones, then those with a y of p or
// more, or with the sign of x = 0 set.
func smallOrderPoints() []string {
	return []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	}
}

func fromHex[T ~[32]byte](t testing.TB, s string) T {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return T(b)
}

func unsignedClaim(n byte) *Assertion {
	return &Assertion{Subject: "s", Predicate: "p", Object: Number(float64(n)), SourceClass: Expert, Timestamp: 1}
}

// bothVerdicts verifies a alone and in batches with good companions, and fails
// if the verdicts differ.
func bothVerdicts(t testing.TB, a *Assertion) error {
	t.Helper()
	single := a.Verify(VerifyOptions{})
	for _, companions := range []int{1, 7, 120} { // the library changes its method with the size
		batch := make([]*Assertion, companions+1)
		for i := range batch {
			batch[i] = benchAssertion(byte(i % 5))
		}
		at := companions / 2
		batch[at] = a
		for i, err := range VerifyBatch(batch, VerifyOptions{}) {
			switch {
			case i == at && codeOf(t, err) != codeOf(t, single):
				t.Errorf("in a batch of %d: %v, alone: %v", len(batch), err, single)
			case i != at && err != nil:
				t.Errorf("a good companion is refused: %v", err)
			}
		}
	}
	return single
}

// TestZIP215SmallOrder are the vectors of ZIP 215: every pair of small-order
// encodings as A and R with S = 0 is valid, alone and in batches. The standard
// library refuses some of them, which shows that the rules differ.
func TestZIP215SmallOrder(t *testing.T) {
	refusedElsewhere := 0
	hash := unsignedClaim(1).ContentHash()
	var all []*Assertion
	for _, a := range smallOrderPoints() {
		for _, r := range smallOrderPoints() {
			claim := unsignedClaim(1)
			signature := Signature{AgentID: fromHex[AgentID](t, a), Version: SignatureV2}
			point := fromHex[Hash](t, r)
			copy(signature.Signature[:], point[:])
			claim.Signatures = []Signature{signature}
			if err := claim.Verify(VerifyOptions{}); err != nil {
				t.Errorf("A %s, R %s: %v", a, r, err)
			}
			if !stdlib.Verify(signature.AgentID[:], hash[:], signature.Signature[:]) {
				refusedElsewhere++
			}
			all = append(all, claim)
		}
	}
	for i, err := range VerifyBatch(all, VerifyOptions{}) {
		if err != nil {
			t.Errorf("in a batch, A %s, R %s: %v", all[i].Signatures[0].AgentID, all[i].Signatures[0].Signature, err)
		}
	}
	if refusedElsewhere == 0 {
		t.Error("the standard library accepts every vector: they show nothing")
	}
}

// mixedOrderSignature signs hash so that A or R carries a point of order 8. It
// holds under the equation with the cofactor only.
func mixedOrderSignature(t testing.TB, hash Hash, torsionInA bool) Signature {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var torsion, commitment, public curve.EdwardsPoint
	encoded := fromHex[Hash](t, smallOrderPoints()[6])
	var compressed curve.CompressedEdwardsY
	_, err := compressed.SetBytes(encoded[:])
	must(err)
	_, err = torsion.SetCompressedY(&compressed)
	must(err)

	secret, nonce := scalar.NewFromUint64(1234567), scalar.NewFromUint64(7654321)
	public.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, secret)
	commitment.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, nonce)
	if torsionInA {
		public.Add(&public, &torsion)
	} else {
		commitment.Add(&commitment, &torsion)
	}
	var s Signature
	s.Version = SignatureV2
	copy(s.AgentID[:], compressed.SetEdwardsPoint(&public)[:])
	copy(s.Signature[:32], compressed.SetEdwardsPoint(&commitment)[:])
	digest := sha512.Sum512(slices.Concat(s.Signature[:32], s.AgentID[:], hash[:]))
	k, err := scalar.NewFromBytesModOrderWide(digest[:])
	must(err)
	response := scalar.New().Mul(k, secret)
	must(response.Add(response, nonce).ToBytes(s.Signature[32:]))
	return s
}

// TestZIP215MixedOrder: signatures that only the equation with the cofactor
// accepts. RFC 8032 leaves the choice open, and the standard library refuses
// them; a batch cannot.
func TestZIP215MixedOrder(t *testing.T) {
	refusedElsewhere := 0
	for n := range byte(8) {
		for _, torsionInA := range []bool{true, false} {
			claim := unsignedClaim(n)
			hash := claim.ContentHash()
			claim.Signatures = []Signature{mixedOrderSignature(t, hash, torsionInA)}
			if err := bothVerdicts(t, claim); err != nil {
				t.Errorf("torsion in A %v: %v", torsionInA, err)
			}
			if !stdlib.Verify(claim.Signatures[0].AgentID[:], hash[:], claim.Signatures[0].Signature[:]) {
				refusedElsewhere++
			}
			claim.Object = Number(100 + float64(n))
			if err := bothVerdicts(t, claim); codeOf(t, err) != CodeSignatureInvalid {
				t.Errorf("another content under a mixed-order signature: %v", err)
			}
		}
	}
	if refusedElsewhere < 8 {
		t.Errorf("the standard library refuses only %d of them: they show nothing", refusedElsewhere)
	}
}

// TestSignatureMalleability: S plus the group order is the same scalar, and
// refused.
func TestSignatureMalleability(t *testing.T) {
	claim := benchAssertion(1)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	littleEndian := slices.Clone(claim.Signatures[0].Signature[32:])
	slices.Reverse(littleEndian)
	raised := new(big.Int).Add(new(big.Int).SetBytes(littleEndian), order).FillBytes(make([]byte, 32))
	slices.Reverse(raised)
	copy(claim.Signatures[0].Signature[32:], raised)
	if err := bothVerdicts(t, claim); codeOf(t, err) != CodeSignatureInvalid {
		t.Errorf("%v", err)
	}
}

// TestSignatureOfNoPoint: keys and commitments that decode to no point.
func TestSignatureOfNoPoint(t *testing.T) {
	noPoint := [32]byte{2}
	claim := benchAssertion(1)
	claim.Signatures[0].AgentID = noPoint
	if err := bothVerdicts(t, claim); codeOf(t, err) != CodeSignatureInvalid {
		t.Errorf("A: %v", err)
	}
	claim = benchAssertion(1)
	copy(claim.Signatures[0].Signature[:32], noPoint[:])
	if err := bothVerdicts(t, claim); codeOf(t, err) != CodeSignatureInvalid {
		t.Errorf("R: %v", err)
	}
}

// TestOneChangedBitBreaksSignature: in content, key or signature, anywhere.
func TestOneChangedBitBreaksSignature(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genSigned().Draw(t, "assertion")
		if err := a.Verify(VerifyOptions{}); err != nil {
			t.Fatal(err)
		}
		which := rapid.IntRange(0, len(a.Signatures)-1).Draw(t, "signature")
		bit := rapid.IntRange(0, 511).Draw(t, "bit")
		switch rapid.IntRange(0, 2).Draw(t, "where") {
		case 0:
			a.Signatures[which].Signature[bit/8] ^= 1 << (bit % 8)
		case 1:
			a.Signatures[which].AgentID[bit/8%32] ^= 1 << (bit % 8)
		case 2: // a bit of the canonical bytes, read back where they still are canonical
			content := a.ContentBytes()
			bit := rapid.IntRange(0, 8*len(content)-1).Draw(t, "content bit")
			content[bit/8] ^= 1 << (bit % 8)
			changed := &Assertion{Signatures: a.Signatures}
			if changed.decodeContent(content) != nil {
				return
			}
			a = changed
		}
		if err := a.Verify(VerifyOptions{}); codeOf(t, err) != CodeSignatureInvalid && codeOf(t, err) != CodeDuplicateSigner {
			t.Fatalf("%v", err)
		}
	})
}

// TestOneChangedBitOfHashBreaksSignature covers the bytes that are signed.
func TestOneChangedBitOfHashBreaksSignature(t *testing.T) {
	claim := benchAssertion(1)
	hash, s := claim.ContentHash(), claim.Signatures[0]
	for bit := range 256 {
		hash[bit/8] ^= 1 << (bit % 8)
		if verifySignature(&s.AgentID, hash[:], &s.Signature) {
			t.Errorf("bit %d", bit)
		}
		hash[bit/8] ^= 1 << (bit % 8)
	}
}

// TestVerifyBatchEqualsVerify: the same verdict for every assertion, whatever
// stands beside it.
func TestVerifyBatchEqualsVerify(t *testing.T) {
	options := VerifyOptions{}
	kinds := []func(n byte) *Assertion{
		benchAssertion,
		unsignedClaim,
		func(n byte) *Assertion { a := benchAssertion(n); a.Sign(testKey(n+1), 1); return a },
		func(n byte) *Assertion { a := benchAssertion(n); a.Sign(testKey(n), 1); return a },
		func(n byte) *Assertion { a := benchAssertion(n); a.Confidence = 0.25; return a },
		func(n byte) *Assertion { a := benchAssertion(n); a.SignV1(testKey(n+1), 1); return a },
		func(n byte) *Assertion { a := unsignedClaim(n); a.SignV1(testKey(n), 1); return a },
		func(n byte) *Assertion { a := benchAssertion(n); a.Signatures[0].Version = 7; return a },
		func(n byte) *Assertion {
			a := benchAssertion(n)
			a.Sign(testKey(n+1), 1)
			a.Signatures[1].Signature[3] ^= 1
			return a
		},
		func(n byte) *Assertion {
			a := unsignedClaim(n)
			a.Signatures = []Signature{mixedOrderSignature(t, a.ContentHash(), n%2 == 0)}
			return a
		},
		func(n byte) *Assertion {
			a := unsignedClaim(n)
			points := smallOrderPoints()
			s := Signature{AgentID: fromHex[AgentID](t, points[int(n)%len(points)]), Version: SignatureV2}
			s.Signature[0] = 1
			a.Signatures = []Signature{s}
			return a
		},
	}
	rapid.Check(t, func(t *rapid.T) {
		options.AcceptV1 = rapid.Bool().Draw(t, "accept v1")
		var batch []*Assertion
		for _, kind := range rapid.SliceOfN(rapid.IntRange(0, len(kinds)-1), 0, 12).Draw(t, "kinds") {
			batch = append(batch, kinds[kind](rapid.Byte().Draw(t, "n")))
		}
		verdicts := VerifyBatch(batch, options)
		if len(verdicts) != len(batch) {
			t.Fatalf("%d verdicts on %d", len(verdicts), len(batch))
		}
		for i, a := range batch {
			if got, want := codeOf(t, verdicts[i]), codeOf(t, a.Verify(options)); got != want {
				t.Fatalf("assertion %d: %q in the batch, %q alone", i, got, want)
			}
		}
	})
}
