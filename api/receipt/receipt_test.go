package receipt

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

const at = 1_800_000_000

func key(name string) ed25519.PrivateKey {
	seed := blake3.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func sign(message []byte) (assertion.AgentID, assertion.SignatureBytes) {
	return assertion.AgentOf(key("node")), assertion.SignatureBytes(ed25519.Sign(key("node"), message))
}

func claim(t rapid.TB, index uint64, agent string, object assertion.ObjectValue, age uint64) *assertion.Claim {
	t.Helper()
	a := &assertion.Assertion{Subject: "Semaglutide", Predicate: "nausea_rate", Object: object, Confidence: 0.8, SourceClass: assertion.Clinical,
		SourceHash: blake3.Sum256([]byte(agent)), Timestamp: at - age}
	a.Sign(key(agent), at)
	commit := assertion.Commit{Position: assertion.Position{Index: index}, At: at}
	return &assertion.Claim{Assertion: *a, Hash: a.ContentHash(), Commit: commit, SignatureCommits: []assertion.Commit{commit}}
}

func vote(agent string, c *assertion.Claim, weight float64) assertion.Vote {
	v := assertion.Vote{AssertionHash: c.Hash, AgentID: assertion.AgentOf(key(agent)), Weight: weight, Timestamp: at - 1}
	v.Sign(key(agent))
	return v
}

// made is a receipt of an answer over random claims, and what it was made of.
type made struct {
	receipt *v1.Receipt
	claims  []*assertion.Claim
}

func make1(t rapid.TB, claims []*assertion.Claim, votes []assertion.Vote, spec string, g lens.Grouping) made {
	t.Helper()
	in := lens.FromClaims("Semaglutide", "nausea_rate", claims, at, g)
	in.Votes, in.SupersededEpochs = map[assertion.Hash][]assertion.Vote{}, map[assertion.Hash]assertion.Hash{}
	for _, v := range votes {
		in.Votes[v.AssertionHash] = append(in.Votes[v.AssertionHash], v)
	}
	scores, err := trust.Compute(trust.Input{Index: 3, At: at, Verdicts: []trust.Verdict{
		{Agent: assertion.AgentOf(key("a0")), Predicate: "nausea_rate", Right: true, At: at}, {Agent: assertion.AgentOf(key("elsewhere")), Predicate: "p", At: at}}})
	if err != nil {
		t.Fatal(err)
	}
	b := truth.NewBuilder(nil)
	for _, c := range claims {
		b.Add(c)
	}
	model, err := b.Learn(3, at)
	if err != nil {
		t.Fatal(err)
	}
	in.Trust, in.Truth = scores, model
	l, err := lens.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	resolution, err := l.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Make(in, l, resolution, State{ClusterID: "c", Index: 9, CommittedAt: at, Digest: assertion.Hash{1}},
		func(h assertion.Hash) (of []assertion.Vote, err error) {
			for _, v := range votes {
				if v.AssertionHash == h {
					of = append(of, v)
				}
			}
			return of, nil
		}, sign)
	if err != nil {
		t.Fatal(err)
	}
	return made{travelled(t, r), claims}
}

// travelled is the receipt as it arrives, by way of JSON.
func travelled(t rapid.TB, r *v1.Receipt) *v1.Receipt {
	t.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	out := new(v1.Receipt)
	if err := json.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Whatever the claims, votes and lens: the receipt of an answer holds.
func TestReceiptsHold(t *testing.T) {
	specs := []string{"recency", "consensus", "confidence", "authority", "votes", "trust", "truth", "layered", "skeptic", "epoch,consensus"}
	rapid.Check(t, func(t *rapid.T) {
		var claims []*assertion.Claim
		var votes []assertion.Vote
		for i := range rapid.IntRange(0, 8).Draw(t, "claims") {
			agent := fmt.Sprint("a", rapid.IntRange(0, 3).Draw(t, "agent"))
			c := claim(t, uint64(rapid.IntRange(1, 3).Draw(t, "index")), agent, assertion.Number(float64(rapid.IntRange(40, 44).Draw(t, "value"))), uint64(rapid.IntRange(0, 2).Draw(t, "age"))*86400)
			c.Commit.Offset = uint16(i)
			same := false
			for _, o := range claims {
				same = same || o.Hash == c.Hash
			}
			if same {
				continue
			}
			claims = append(claims, c)
			for j := range rapid.IntRange(0, 2).Draw(t, "votes") {
				votes = append(votes, vote(fmt.Sprint("voter", j), c, rapid.Float64Range(0, 1).Draw(t, "weight")))
			}
		}
		g := lens.Grouping{Hierarchy: rapid.Bool().Draw(t, "hierarchy"), Tolerance: lens.Tolerance{Absolute: float64(rapid.IntRange(0, 1).Draw(t, "tolerance"))}}
		for _, spec := range specs {
			m := make1(t, claims, votes, spec, g)
			report, err := Verify(m.receipt)
			if err != nil {
				t.Fatalf("%s: %v", spec, err)
			}
			if report.Claims != len(claims) || report.Signatures != len(claims) {
				t.Fatalf("%s: %+v", spec, report)
			}
		}
	})
}

// Nothing of a receipt can be changed, not even by a node that signs anew what
// does not follow.
func TestReceiptsBreak(t *testing.T) {
	fresh := func() *v1.Receipt {
		first, second := claim(t, 1, "a0", assertion.Number(44), 0), claim(t, 2, "a1", assertion.Number(20), 0)
		third := claim(t, 3, "a2", assertion.Number(44), 0)
		return make1(t, []*assertion.Claim{first, second, third}, []assertion.Vote{vote("v", second, 0.5), vote("w", first, 0.4)}, "votes", lens.Grouping{}).receipt
	}
	if _, err := Verify(fresh()); err != nil {
		t.Fatal(err)
	}
	signAgain := func(r *v1.Receipt) {
		var err error
		if r.Statement.EvidenceHash, err = digest(evidenceContext, r.Evidence); err != nil {
			t.Fatal(err)
		}
		message, err := digest(statementContext, r.Statement)
		if err != nil {
			t.Fatal(err)
		}
		r.NodeKey, r.Signature = sign(message[:])
	}
	other := assertion.Number(44)
	for name, spoil := range map[string]func(*v1.Receipt){
		"another answer":      func(r *v1.Receipt) { r.Statement.Answer.Object = &other },
		"no answer":           func(r *v1.Receipt) { r.Statement.Answer.Object = nil },
		"another confidence":  func(r *v1.Receipt) { r.Statement.Answer.Confidence += 1e-6 },
		"fewer voices":        func(r *v1.Receipt) { r.Statement.Answer.Voices-- },
		"another lens":        func(r *v1.Receipt) { r.Statement.Lens = "consensus" },
		"an unknown lens":     func(r *v1.Receipt) { r.Statement.Lens = "majority" },
		"an unknown version":  func(r *v1.Receipt) { r.Statement.Version = 2 },
		"another question":    func(r *v1.Receipt) { r.Statement.Subject = "Aspirin" },
		"a claim's value":     func(r *v1.Receipt) { r.Evidence.Claims[0].Object = assertion.Number(20) },
		"a claim's signature": func(r *v1.Receipt) { r.Evidence.Claims[0].Signatures[0].Signature[0] ^= 1 },
		"claims out of order": func(r *v1.Receipt) { swap(r.Evidence.Claims); swap(r.Statement.Claims) },
		"a claim left out":    func(r *v1.Receipt) { r.Evidence.Claims = r.Evidence.Claims[1:] },
		"a claim twice": func(r *v1.Receipt) {
			r.Evidence.Claims[1] = r.Evidence.Claims[0]
			r.Statement.Claims[1] = r.Statement.Claims[0]
		},
		"a vote's weight":                      func(r *v1.Receipt) { r.Evidence.Votes[0].Weight = 1 },
		"a vote twice":                         func(r *v1.Receipt) { r.Evidence.Votes = append(r.Evidence.Votes, r.Evidence.Votes[0]) },
		"a vote left out":                      func(r *v1.Receipt) { r.Evidence.Votes = r.Evidence.Votes[1:] },
		"a filter that the claims do not pass": func(r *v1.Receipt) { r.Statement.Parameters = map[string]any{"source_class": "Regulatory"} },
		"a filter by agent": func(r *v1.Receipt) {
			r.Statement.Parameters = map[string]any{"agent_id": assertion.AgentOf(key("a0")).String()}
		},
		"a least confidence":      func(r *v1.Receipt) { r.Statement.Parameters = map[string]any{"min_confidence": 1.0} },
		"an earlier as_of":        func(r *v1.Receipt) { r.Statement.Parameters = map[string]any{"as_of": float64(5)} },
		"a truth without a model": func(r *v1.Receipt) { r.Statement.TruthHash = &assertion.Hash{1} },
		"a trust without scores":  func(r *v1.Receipt) { r.Statement.TrustHash = &assertion.Hash{1} },
		"trust that is no trust":  func(r *v1.Receipt) { r.Evidence.Trust = []byte("x") },
		"a model that is none":    func(r *v1.Receipt) { r.Evidence.Truth = []byte("x") },
		"a tolerance":             func(r *v1.Receipt) { r.Statement.Tolerance = "wide" },
	} {
		r := fresh()
		spoil(r)
		if _, err := Verify(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		signAgain(r)
		if _, err := Verify(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s, signed anew: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(*v1.Receipt){ // these the node alone can know, so only its signature protects them
		"another state":    func(r *v1.Receipt) { r.Statement.Index++ },
		"another digest":   func(r *v1.Receipt) { r.Statement.Digest[0]++ },
		"another cluster":  func(r *v1.Receipt) { r.Statement.ClusterID = "d" },
		"another key":      func(r *v1.Receipt) { r.NodeKey = assertion.AgentOf(key("a0")) },
		"a key of nobody":  func(r *v1.Receipt) { r.NodeKey = assertion.AgentID{} },
		"no signature":     func(r *v1.Receipt) { r.Signature = assertion.SignatureBytes{} },
		"another evidence": func(r *v1.Receipt) { r.Statement.EvidenceHash[0]++ },
	} {
		r := fresh()
		spoil(r)
		if _, err := Verify(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func swap[T any](s []T) { s[0], s[1] = s[1], s[0] }

func TestTooManyClaims(t *testing.T) {
	claims := make([]*assertion.Claim, MaxClaims+1)
	for i := range claims {
		claims[i] = claim(t, uint64(i), "a", assertion.Number(float64(i)), 0)
	}
	in := lens.FromClaims("Semaglutide", "nausea_rate", claims, at, lens.Grouping{})
	l, err := lens.Parse("consensus")
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Make(in, l, r, State{}, nil, sign); !errors.Is(err, ErrTooManyClaims) {
		t.Error(err)
	}
}

// A receipt comes from anybody. Even one that is signed well and hashes well,
// over whatever content, holds or is ErrInvalid.
func FuzzVerify(f *testing.F) {
	for _, spec := range []string{"consensus", "votes", "trust", "truth", "epoch,authority", "skeptic"} {
		c := claim(f, 1, "a0", assertion.Number(1), 10)
		m := make1(f, []*assertion.Claim{c, claim(f, 2, "a1", assertion.Text("x"), 20)}, []assertion.Vote{vote("a2", c, 0.5)}, spec, lens.Grouping{})
		raw, err := json.Marshal(m.receipt)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r v1.Receipt
		if json.Unmarshal(raw, &r) != nil {
			return
		}
		check := func() {
			if report, err := Verify(&r); (err == nil) == (report == nil) && err != nil && !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v, %v", report, err)
			}
		}
		check()
		evidence, err := digest(evidenceContext, r.Evidence)
		if err != nil {
			return
		}
		r.Statement.EvidenceHash = evidence
		message, err := digest(statementContext, &r.Statement)
		if err != nil {
			return
		}
		r.NodeKey, r.Signature = sign(message[:])
		check()
	})
}
