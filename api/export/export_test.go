package export

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

const at = 1_800_000_000

func key(name string) ed25519.PrivateKey {
	seed := blake3.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// file is an export of random records, all of which hold, and how many of each
// kind it has.
type file struct {
	raw   []byte
	kinds map[string]int
}

func (f file) lines() [][]byte { return bytes.SplitAfter(bytes.TrimSuffix(f.raw, nil), []byte("\n")) }

func drawFile(t *rapid.T) file {
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{ClusterID: "c", Index: 1000, CommittedAt: at, Software: "test", Selection: &Selection{Since: rapid.Uint64Range(0, 1).Draw(t, "since")}})
	if err != nil {
		t.Fatal(err)
	}
	f := file{kinds: map[string]int{}}
	place := assertion.Position{}
	add := func(e *assertion.Event) {
		place.Index++
		e.Commit = assertion.Commit{Position: place, At: at}
		if e.Claim == nil {
			e.Kind = e.Entry.Kind()
		}
		f.kinds[e.Kind.String()]++
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	text := rapid.StringOfN(rapid.SampledFrom([]rune("aZ0<&>\u2028é日😀\"\\")), 1, 12, -1)
	some := func(what string) int { return rapid.IntRange(0, 3).Draw(t, what) }
	for range some("sources") {
		content := text.Draw(t, "content")
		add(&assertion.Event{Entry: &assertion.Source{Hash: blake3.Sum256([]byte(content)), Title: text.Draw(t, "title"), Content: content}})
	}
	var epoch *assertion.Hash
	for range some("epochs") {
		e := &assertion.Epoch{Name: text.Draw(t, "name"), Supersedes: epoch, Timestamp: at}
		if epoch != nil {
			e.SupersessionType = assertion.Refines
		}
		e.Sign(key("editor"))
		h := e.Hash()
		epoch = &h
		add(&assertion.Event{Entry: e})
	}
	for i := range some("aliases") {
		add(&assertion.Event{Entry: &assertion.Alias{Name: fmt.Sprint("alias ", i), Canonical: text.Draw(t, "canonical")}, Authority: "root"})
	}
	claims := rapid.IntRange(1, 5).Draw(t, "claims")
	var last *assertion.Assertion
	for i := range claims {
		a := &assertion.Assertion{Subject: text.Draw(t, "subject"), Predicate: "p", Object: assertion.Number(rapid.Float64Range(-1e300, 1e300).Draw(t, "object")),
			Confidence: rapid.Float64Range(0, 1).Draw(t, "confidence"), Epoch: epoch, Timestamp: at + uint64(i), Vector: rapid.SliceOfN(rapid.Float32Range(-1, 1), 0, 3).Draw(t, "vector")}
		if err := a.Normalize(); err != nil {
			t.Fatal(err)
		}
		for s := range rapid.IntRange(1, 2).Draw(t, "signers") {
			a.Sign(key(fmt.Sprint(s)), at)
		}
		last = a
		add(&assertion.Event{Kind: assertion.KindAssertion, Claim: &assertion.Claim{Assertion: *a}})
		if rapid.Bool().Draw(t, "cosigned") {
			by := *a
			by.Signatures = nil
			by.Sign(key("later"), at)
			add(&assertion.Event{Entry: &assertion.Cosignature{Assertion: &by, Hash: by.ContentHash()}})
		}
	}
	target := last.ContentHash()
	add(&assertion.Event{Entry: &assertion.SourceStatus{Source: last.SourceHash, Retracted: true, Reason: text.Draw(t, "reason")}})
	s := &assertion.Supersession{Superseded: target, Type: assertion.Retracts, Timestamp: at}
	s.Sign(key("0"))
	add(&assertion.Event{Entry: s})
	for i := range some("votes") {
		v := &assertion.Vote{AssertionHash: target, Weight: 0.5, Timestamp: at}
		v.Sign(key(fmt.Sprint(i)))
		add(&assertion.Event{Entry: v})
	}
	e := &assertion.Endorsement{Endorsed: assertion.AgentOf(key("other")), Weight: 1, Timestamp: at}
	e.Sign(key("0"))
	add(&assertion.Event{Entry: e})
	add(&assertion.Event{Entry: &assertion.Label{Subject: "s", Predicate: "p", Object: assertion.Text(text.Draw(t, "gold"))}})
	add(&assertion.Event{Entry: &assertion.Seeds{Agents: []assertion.AgentID{assertion.AgentOf(key("0"))}}})
	add(&assertion.Event{Entry: &assertion.Decision{Claim: target, Approved: true, Reviewer: "ops", Reason: "r"}})
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f.raw = out.Bytes()
	return f
}

// verify reads a file and returns what is wrong with it.
func verify(raw []byte) (*Report, error) {
	report, err := Read(bytes.NewReader(raw), Options{})
	if err != nil {
		return nil, err
	}
	return report, report.Err()
}

// What is written is read back, and writing that gives the same file.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFile(t)
		var again bytes.Buffer
		var w *Writer
		report, err := Read(bytes.NewReader(f.raw), Options{Each: func(records []Record, _ int) error {
			for i := range records {
				r := &records[i]
				e := &assertion.Event{Commit: r.Commit, Kind: r.Kind, Entry: r.Entry, Authority: r.Authority}
				if a, ok := r.Entry.(*assertion.Assertion); ok && r.Kind == assertion.KindCosignature {
					e.Entry = &assertion.Cosignature{Assertion: a, Hash: r.Hash}
				}
				if w == nil {
					var head Header
					if err := json.Unmarshal(f.lines()[0], &head); err != nil {
						return err
					}
					var err error
					if w, err = NewWriter(&again, head); err != nil {
						return err
					}
				}
				if err := w.Add(e); err != nil {
					return err
				}
			}
			return nil
		}})
		if err == nil {
			err = report.Err()
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, f.raw)
		}
		if fmt.Sprint(report.Trailer.Records) != fmt.Sprint(f.kinds) {
			t.Fatalf("%v, want %v", report.Trailer.Records, f.kinds)
		}
		if _, err := w.Close(); err != nil || !bytes.Equal(again.Bytes(), f.raw) {
			t.Fatalf("%v: written again it is\n%s\nand was\n%s", err, again.Bytes(), f.raw)
		}
	})
}

// Whatever happens to a file is noticed: any flipped bit, any end that is too
// early, any line that is missing, twice or elsewhere, anything behind the end.
func TestDamageIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFile(t)
		lines := f.lines()
		lines = lines[:len(lines)-1] // nothing is behind the last newline
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		j := rapid.IntRange(0, len(lines)-1).Filter(func(j int) bool { return j != i }).Draw(t, "other line")
		copied := func() [][]byte { return append([][]byte(nil), lines...) }
		damaged := bytes.Clone(f.raw)
		switch rapid.SampledFrom([]string{"bit", "bit", "bit", "cut", "missing", "twice", "swapped", "more"}).Draw(t, "damage") {
		case "bit":
			damaged[rapid.IntRange(0, len(damaged)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case "cut":
			damaged = damaged[:rapid.IntRange(0, len(damaged)-1).Draw(t, "length")]
		case "missing":
			damaged = bytes.Join(append(copied()[:i], lines[i+1:]...), nil)
		case "twice":
			damaged = bytes.Join(append(copied()[:i+1], lines[i:]...), nil)
		case "swapped":
			moved := copied()
			moved[i], moved[j] = moved[j], moved[i]
			damaged = bytes.Join(moved, nil)
		case "more":
			damaged = append(damaged, rapid.SampledFrom([]string{"\n", "{}\n", " ", string(lines[i])}).Draw(t, "tail")...)
		}
		if _, err := verify(damaged); !errors.Is(err, ErrInvalid) {
			t.Fatalf("%v:\n%s", err, damaged)
		}
		if _, err := verify(f.raw); err != nil {
			t.Fatalf("the file itself: %v", err)
		}
	})
}

// rewritten is a file with other lines and the trailer that follows from them, as
// a forger would make it.
func rewritten(t *testing.T, lines [][]byte) []byte {
	t.Helper()
	r, err := Read(bytes.NewReader(append(bytes.Join(lines, nil), "{}\n"...)), Options{Trusted: true})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := encode(r.Trailer)
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Join(lines, nil), raw...)
}

// A forger can make the counts and the hash over the lines right, and neither the
// hashes nor the signatures; the first fault is told with its line, and all are
// counted.
func TestForgeryIsToldByItsLine(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{ClusterID: "c", Index: 9, CommittedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 { // several chunks
		a := &assertion.Assertion{Subject: fmt.Sprint("s", i), Predicate: "p", Object: assertion.Text("true"), Timestamp: at}
		a.Sign(key("x"), at)
		if err := w.Add(&assertion.Event{Kind: assertion.KindAssertion, Commit: assertion.Commit{Position: assertion.Position{Index: uint64(i + 1)}}, Claim: &assertion.Claim{Assertion: *a}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := verify(out.Bytes()); err != nil || r.Trailer.Signatures != 1000 {
		t.Fatal(err)
	}
	good := bytes.SplitAfter(out.Bytes(), []byte("\n"))
	good = good[:len(good)-2]
	forge := func(changes map[int]func(string) string) error {
		lines := append([][]byte(nil), good...)
		for i, change := range changes {
			lines[i-1] = []byte(change(string(lines[i-1])))
		}
		_, err := verify(rewritten(t, lines))
		return err
	}
	swap := func(old, with string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("%q is not in %s", old, s)
			}
			return strings.Replace(s, old, with, 1)
		}
	}
	// The hash is made right too, so that only the signature shows it.
	resigned := func(s string) string {
		var l line
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			t.Fatal(err)
		}
		a, err := assertion.DecodeJSON(l.Record)
		if err != nil {
			t.Fatal(err)
		}
		a.Object = assertion.Text("false")
		raw, err := encode(a)
		if err != nil {
			t.Fatal(err)
		}
		l.Record, l.Hash = raw, a.ContentHash().String()
		out, err := encode(l)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for name, c := range map[string]struct {
		changes map[int]func(string) string
		want    []string
	}{
		"a value":            {map[int]func(string) string{500: swap("true", "false")}, []string{"line 500: the hash of the content"}},
		"a value and a hash": {map[int]func(string) string{700: resigned, 600: resigned, 2: resigned}, []string{"line 2: ", "signature", "faults in all: 4"}},
		"an unknown field":   {map[int]func(string) string{900: swap(`"kind"`, `"note":1,"kind"`)}, []string{"line 900: ", "note"}},
		"an unknown kind":    {map[int]func(string) string{3: swap(`"assertion"`, `"api_key"`)}, []string{"line 3: ", "no kind of record"}},
		"a place":            {map[int]func(string) string{300: swap(`"position":"299.0"`, `"position":"1.0"`)}, []string{"line 300: out of order"}},
		"the header":         {map[int]func(string) string{1: swap(`"index"`, `"more":1,"index"`)}, []string{"line 1: ", "more"}},
		"nothing":            {nil, nil},
	} {
		err := forge(c.changes)
		if len(c.want) == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		for _, want := range c.want {
			if err == nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

func TestWhatIsNoExport(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "it is empty",
		"subject,predicate\n":                 "line 1 is no header",
		`{"stemedb_export":2}` + "\n":         "it has version 2 of the format, this program knows 1",
		`{"stemedb_export":1,"cluster_id":""`: "line 1 is no header",
		`{"stemedb_export":1,"cluster_id":"","index":1,"committed_at":1,"software":""}` + "\n": "the file ends without a trailer",
		Magic + strings.Repeat("1", maxLine):                                                   "has more than",
	} {
		if _, err := verify([]byte(text)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// An error of the caller ends the reading, wherever it is.
func TestTheCallerEndsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFile(t)
		stop := errors.New("stop")
		if _, err := Read(bytes.NewReader(f.raw), Options{Each: func([]Record, int) error { return stop }}); !errors.Is(err, stop) {
			t.Fatal(err)
		}
	})
}

// Signatures of version 1 hold, and are told apart.
func TestLegacySignatures(t *testing.T) {
	a := &assertion.Assertion{Subject: "s", Predicate: "p", Object: assertion.Text("o"), Timestamp: at}
	a.Signatures = []assertion.Signature{{AgentID: assertion.AgentOf(key("old")), Version: assertion.SignatureV1, Timestamp: at,
		Signature: assertion.SignatureBytes(ed25519.Sign(key("old"), []byte("s:p")))}}
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(&assertion.Event{Kind: assertion.KindAssertion, Claim: &assertion.Claim{Assertion: *a}, Commit: assertion.Commit{Position: assertion.Position{Index: 1}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := verify(out.Bytes()); err != nil || r.Legacy != 1 || r.Trailer.Signatures != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
