package assertion

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

func TestEndorsementProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Endorsement{Endorsed: AgentOf(testKey(200)), Weight: genUnit().Draw(t, "weight"), Timestamp: rapid.Uint64().Draw(t, "timestamp")}
		if err := e.Normalize(); err != nil {
			t.Fatal(err)
		}
		e.Sign(testKey(rapid.ByteRange(0, 100).Draw(t, "key")))
		checkSigned(t, e, new(Endorsement), DecodeEndorsementJSON, []any{e.AgentID[:], e.Endorsed[:], e.Weight, e.Timestamp})
	})
}

func genEntry() *rapid.Generator[Entry] {
	return rapid.Custom(func(t *rapid.T) Entry {
		agent := func() AgentID { return AgentID(genHash().Draw(t, "agent")) }
		switch rapid.IntRange(0, 10).Draw(t, "kind") {
		case 0:
			content := rapid.StringN(0, 50, -1).Draw(t, "content")
			return &Source{Hash: blake3.Sum256([]byte(content)), URI: genText().Draw(t, "uri"), Title: genText().Draw(t, "title"),
				SourceClass: rapid.SampledFrom(SourceClasses()).Draw(t, "class"), Content: content}
		case 1:
			return &SourceStatus{Source: genHash().Draw(t, "source"), Retracted: rapid.Bool().Draw(t, "retracted"), Reason: genText().Draw(t, "reason")}
		case 2:
			return &Alias{Name: genName().Draw(t, "name"), Canonical: genName().Draw(t, "canonical"), Removed: rapid.Bool().Draw(t, "removed")}
		case 3:
			return &Label{Subject: genName().Draw(t, "subject"), Predicate: genName().Draw(t, "predicate"),
				Object: Number(rapid.Float64Range(-1e9, 1e9).Draw(t, "number")), Removed: rapid.Bool().Draw(t, "removed")}
		case 4:
			s := &Seeds{Agents: []AgentID{}}
			for i := range rapid.IntRange(0, 3).Draw(t, "seeds") {
				s.Agents = append(s.Agents, AgentID{byte(i)})
			}
			return s
		case 5:
			return &NodeKey{NodeID: genName().Draw(t, "node"), Key: agent()}
		case 6:
			return &Computed{Of: rapid.SampledFrom([]Kind{KindTrust, KindTruth}).Draw(t, "of"), Index: rapid.Uint64().Draw(t, "index"),
				Data: rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "data")}
		case 7:
			return &Clock{}
		case 8:
			k := &APIKey{ID: "a1-b2", Revision: rapid.Uint64().Draw(t, "revision"), Name: genText().Draw(t, "name"),
				Role: Role(rapid.IntRange(1, 3).Draw(t, "role")), Secret: genHash().Draw(t, "secret"), Previous: genOptionalHash().Draw(t, "previous"),
				PreviousUntil: rapid.Uint64().Draw(t, "until"), CreatedAt: rapid.Uint64().Draw(t, "created"), ExpiresAt: rapid.Uint64().Draw(t, "expires"),
				SubjectPrefix: genText().Draw(t, "prefix"), RatePerSecond: rapid.Uint64().Draw(t, "rate"), QuotaPerHour: rapid.Uint64().Draw(t, "quota"), Revoked: rapid.Bool().Draw(t, "revoked")}
			if rapid.Bool().Draw(t, "bound") {
				bound := agent()
				k.AgentID = &bound
			}
			return k
		case 9:
			return &Decision{Claim: genHash().Draw(t, "claim"), Approved: rapid.Bool().Draw(t, "approved"), Reviewer: genName().Draw(t, "reviewer"), Reason: genText().Draw(t, "reason")}
		}
		v := &Vote{AssertionHash: genHash().Draw(t, "claim"), Weight: genUnit().Draw(t, "weight")}
		v.Sign(testKey(1))
		return v
	})
}

// Every entry reads back from the log's form, and from no other bytes.
func TestEntriesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEntry().Draw(t, "entry")
		raw, err := AppendEntry(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if Kind(raw[0]) != e.Kind() {
			t.Fatalf("kind %d, want %s", raw[0], e.Kind())
		}
		got, err := DecodeEntry(e.Kind(), raw[1:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Fatal(diff)
		}
		if _, err := DecodeEntry(e.Kind(), append(raw[1:], 0)); err == nil {
			t.Fatal("reads with a byte too many")
		}
		if name, err := ParseKind(e.Kind().String()); err != nil || name != e.Kind() {
			t.Fatalf("%s is read as %s, %v", e.Kind(), name, err)
		}
	})
}

func TestEntriesAreHeldToTheirRules(t *testing.T) {
	owned, weak := AgentOf(testKey(1)), AgentID{}
	long := strings.Repeat("x", MaxURIBytes+1)
	for name, test := range map[string]struct {
		value interface{ Validate() error }
		code  string
	}{
		"endorsement of itself":   {&Endorsement{AgentID: owned, Endorsed: owned}, CodeEndorsementInvalid},
		"endorsement of nobody":   {&Endorsement{AgentID: owned, Endorsed: weak}, CodeEndorsementInvalid},
		"endorsement by nobody":   {&Endorsement{AgentID: weak, Endorsed: owned}, CodeEndorsementInvalid},
		"endorsement above 1":     {&Endorsement{AgentID: owned, Endorsed: AgentOf(testKey(2)), Weight: 2}, CodeEndorsementInvalid},
		"endorsement not finite":  {&Endorsement{AgentID: owned, Endorsed: AgentOf(testKey(2)), Weight: math.Inf(1)}, CodeNumberNotFinite},
		"good endorsement":        {&Endorsement{AgentID: owned, Endorsed: AgentOf(testKey(2)), Weight: 1}, ""},
		"source with long uri":    {&Source{URI: long}, CodeSourceInvalid},
		"source with long title":  {&Source{Title: long}, CodeSourceInvalid},
		"source of other content": {&Source{Content: "x"}, CodeSourceInvalid},
		"source of no class":      {&Source{SourceClass: NumTiers}, CodeSourceInvalid},
		"source too large":        {&Source{Content: strings.Repeat("x", MaxSourceBytes+1)}, CodeTooLarge},
		"status without reason":   {&SourceStatus{}, CodeSourceInvalid},
		"alias of itself":         {&Alias{Name: "a", Canonical: "a"}, CodeAliasInvalid},
		"alias of nothing":        {&Alias{Name: "a"}, CodeAliasInvalid},
		"alias with control":      {&Alias{Name: "a\n", Canonical: "b"}, CodeAliasInvalid},
		"label without subject":   {&Label{Predicate: "p", Object: Number(1)}, CodeSubjectInvalid},
		"label without object":    {&Label{Subject: "s", Predicate: "p"}, CodeObjectInvalid},
		"seed that nobody owns":   {&Seeds{Agents: []AgentID{weak}}, CodeInvalidField},
		"too many seeds":          {&Seeds{Agents: make([]AgentID, MaxSeeds+1)}, CodeInvalidField},
		"good API key":            {&APIKey{ID: "root", Role: RoleAdmin, Name: "first"}, ""},
		"API key without an id":   {&APIKey{Role: RoleAdmin}, CodeAPIKeyInvalid},
		"API key with a bad id":   {&APIKey{ID: "a_b", Role: RoleAdmin}, CodeAPIKeyInvalid},
		"API key without a role":  {&APIKey{ID: "a"}, CodeAPIKeyInvalid},
		"API key, long name":      {&APIKey{ID: "a", Role: RoleWrite, Name: strings.Repeat("n", maxKeyName+1)}, CodeAPIKeyInvalid},
		"API key, control":        {&APIKey{ID: "a", Role: RoleWrite, Name: "a\nb"}, CodeAPIKeyInvalid},
		"API key, rate":           {&APIKey{ID: "a", Role: RoleWrite, RatePerSecond: MaxKeyRate + 1}, CodeAPIKeyInvalid},
		"API key of nobody":       {&APIKey{ID: "a", Role: RoleWrite, AgentID: &weak}, CodeAPIKeyInvalid},
		"bound admin":             {&APIKey{ID: "a", Role: RoleAdmin, AgentID: &owned}, CodeAPIKeyInvalid},
		"restricted admin":        {&APIKey{ID: "a", Role: RoleAdmin, SubjectPrefix: "x"}, CodeAPIKeyInvalid},
	} {
		err := test.value.Validate()
		var fault *Error
		switch {
		case test.code == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.code != "" && (!errors.As(err, &fault) || fault.Code != test.code):
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
}

// What the JSON forms leave out has its meaning.
func TestEntryDefaults(t *testing.T) {
	s, err := DecodeSourceJSON([]byte(`{"content":"Nausea 44%","uri":"fda://label/1"}`))
	if err != nil || s.Hash != blake3.Sum256([]byte("Nausea 44%")) || s.SourceClass != Regulatory {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := DecodeSourceJSON([]byte(`{"title":"t"}`)); err == nil {
		t.Error("a source without hash and content")
	}
	seeds, err := DecodeSeedsJSON([]byte(`{"agents":["` + AgentOf(testKey(2)).String() + `","` + AgentOf(testKey(1)).String() + `","` + AgentOf(testKey(2)).String() + `"]}`))
	if err != nil || len(seeds.Agents) != 2 || bytes.Compare(seeds.Agents[0][:], seeds.Agents[1][:]) >= 0 {
		t.Errorf("%+v, %v", seeds, err)
	}
	for text, want := range map[string]bool{`{"alias":"a","canonical":"b"}`: false, `{"alias":"a","canonical":"b","removed":true}`: true} {
		if a, err := DecodeAliasJSON([]byte(text)); err != nil || a.Removed != want {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	if _, err := DecodeAliasJSON([]byte(`{"alias":"a","canonical":"b","removed":"yes"}`)); err == nil {
		t.Error("removed may be a text")
	}
}

func TestConceptPaths(t *testing.T) {
	for path, want := range map[string]bool{
		"fda://label/1": true, "x+y.1-z://a": true, "fda://": false, "://a": false, "fda:/a": false, "a": false, "1a://b": false,
		"fda://a//b": false, "fda:///a": false, "fda://a/": false, "f a://b": false,
	} {
		if IsConceptPath(path) != want {
			t.Errorf("%q: %t", path, !want)
		}
	}
	for _, pair := range []struct {
		above, below string
		want         bool
	}{{"geo://us/mn", "geo://us/mn/minneapolis", true}, {"geo://us/mn", "geo://us/mno", false}, {"geo://us/mn", "geo://us/mn", false}, {"us/mn", "us/mn/x", false}} {
		if PathContains(pair.above, pair.below) != pair.want {
			t.Errorf("%q contains %q: %t", pair.above, pair.below, !pair.want)
		}
	}
	for scheme, want := range map[string]SourceClass{"fda": Regulatory, "RFC": Regulatory, "ietf": Regulatory, "peer": Clinical, "pubmed": Clinical,
		"code": Expert, "wiki": Expert, "community": Community, "blog": Anecdotal, "anon": Anecdotal} {
		if class, ok := SchemeClass(scheme + "://x"); !ok || class != want {
			t.Errorf("%s: %s, %t", scheme, class, ok)
		}
	}
	if _, ok := SchemeClass("https://x"); ok {
		t.Error("https has a class")
	}
}

// By the definition: shares 0.5, 0.25, 0.25 have an entropy of 1.5 ln 2 over ln
// 3; the order of weights does not matter.
func TestGoldenConflictScore(t *testing.T) {
	for _, weights := range [][]float64{{2, 1, 1}, {1, 2, 1}, {1, 1, 2}} {
		if got, want := ConflictScore(weights), 1.5*math.Ln2/math.Log(3); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v: %g, want %g", weights, got, want)
		}
	}
	for _, test := range []struct {
		weights []float64
		want    float64
	}{{nil, 0}, {[]float64{3}, 0}, {[]float64{1, 1}, 1}, {[]float64{1, 0}, 0}, {[]float64{0, 0}, 1}} {
		if got := ConflictScore(test.weights); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%v: %g, want %g", test.weights, got, test.want)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	for _, e := range []Entry{&Source{Hash: Hash{1}, Title: "t"}, &SourceStatus{Reason: "r"}, &Alias{Name: "a", Canonical: "b"},
		&Label{Subject: "s", Predicate: "p", Object: Number(1)}, &Seeds{Agents: []AgentID{{1}}}, &NodeKey{NodeID: "n"},
		&Computed{Of: KindTrust, Data: []byte{1}}, &Clock{}, &APIKey{ID: "root", Role: RoleAdmin}} {
		record, err := e.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(e.Kind()), record)
	}
	f.Fuzz(func(t *testing.T, kind byte, record []byte) {
		e, err := DecodeEntry(Kind(kind), record)
		if err != nil {
			requireFault(t, err)
			return
		}
		again, err := e.MarshalBinary()
		if err != nil || !bytes.Equal(again, record) {
			t.Fatalf("%x reads back as %x (%v)", record, again, err)
		}
	})
}
