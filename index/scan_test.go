package index

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

func TestEveryFilterFindsWhatAPlainScanFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db, err := Open("db", Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		h := &history{db: db}
		h.extend(t, rapid.IntRange(1, 40).Draw(t, "claims"))
		f := drawFilter(t, h)
		want := h.selected(f)
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		var got []string
		cursor := ""
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		for pages := 0; ; pages++ {
			page, next, err := v.Page(f, cursor, limit)
			if err != nil || len(page) > limit || pages > len(h.claims)+1 {
				t.Fatalf("page %d of %+v: %d claims, %v", pages, f, len(page), err)
			}
			for _, c := range page {
				got = append(got, c.Hash.String()[:8])
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("filter %+v: got %v, want %v", f, got, want)
		}
	})
}

// extend adds claims to the index and to the plain list, one batch each.
func (h *history) extend(t *rapid.T, count int) {
	for range count {
		a := drawAssertion(t)
		h.log++
		hash, c := a.ContentHash(), assertion.Commit{Position: assertion.Position{Index: h.log}, At: h.log}
		batch, err := h.db.NewBatch()
		if err != nil {
			t.Fatal(err)
		}
		got, err := batch.Assert(a, hash, c, assertion.Admission{})
		if err != nil {
			t.Fatal(err)
		}
		if want := h.apply(a, hash, c); got != want {
			t.Fatalf("outcome %v, want %v", got, want)
		}
		batch.SetApplied(Applied{Index: h.log, Term: 1, CommittedAt: h.log})
		if err := errors.Join(batch.Commit(), batch.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func drawFilter(t *rapid.T, h *history) assertion.Filter {
	f := assertion.Filter{
		Subject:       rapid.SampledFrom([]string{"", "a", "ab", "none"}).Draw(t, "subject"),
		Predicate:     rapid.SampledFrom([]string{"", "p", "q"}).Draw(t, "predicate"),
		MinConfidence: rapid.SampledFrom([]float64{0, 0, 0.3}).Draw(t, "min"),
	}
	f.SubjectPrefix = f.Subject != "" && rapid.Bool().Draw(t, "prefix")
	one := rapid.SampledFrom(h.claims).Draw(t, "one")
	if rapid.IntRange(0, 3).Draw(t, "by agent") == 0 {
		f.Agent = &one.Signatures[0].AgentID
	}
	if rapid.IntRange(0, 3).Draw(t, "by source") == 0 {
		f.Source = &one.SourceHash
	}
	if rapid.IntRange(0, 3).Draw(t, "by class") == 0 {
		f.SourceClass = &one.SourceClass
	}
	if rapid.IntRange(0, 3).Draw(t, "by stage") == 0 {
		f.Lifecycles = []assertion.Lifecycle{one.Stage}
	}
	return f
}

// selected lists what the filter selects, in the order that Scan promises.
func (h *history) selected(f assertion.Filter) []string {
	var claims []*assertion.Claim
	for _, c := range h.claims {
		if f.Match(c) {
			claims = append(claims, c)
		}
	}
	slices.SortFunc(claims, func(a, b *assertion.Claim) int {
		if f.SubjectPrefix && a.Subject != b.Subject {
			return strings.Compare(a.Subject, b.Subject)
		}
		if a.Timestamp != b.Timestamp {
			return cmp.Compare(b.Timestamp, a.Timestamp)
		}
		return b.Commit.Position.Compare(a.Commit.Position)
	})
	var hashes []string
	for _, c := range claims {
		hashes = append(hashes, c.Hash.String()[:8])
	}
	return hashes
}

// fill stores n claims, newest last, through batches of the given size.
func fill(t testing.TB, db *DB, from, n, size int, make func(i int) *assertion.Assertion) {
	t.Helper()
	for at := from; at < from+n; at += size {
		batch, err := db.NewBatch()
		if err != nil {
			t.Fatal(err)
		}
		for i := at; i < min(at+size, from+n); i++ {
			a := make(i)
			c := assertion.Commit{Position: assertion.Position{Index: uint64(at + 1), Offset: uint16(i - at)}, At: uint64(at)}
			if o, err := batch.Assert(a, a.ContentHash(), c, assertion.Admission{}); err != nil || o != Created {
				t.Fatalf("claim %d: %v, %v", i, o, err)
			}
		}
		batch.SetApplied(Applied{Index: uint64(at + 1), Term: 1, CommittedAt: uint64(at)})
		if err := errors.Join(batch.Commit(), batch.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// plain makes the i-th of a family of different claims; voices of one question
// repeat every 1000.
func plain(i int) *assertion.Assertion {
	a := &assertion.Assertion{
		Subject: fmt.Sprintf("subject-%d", i%100), Predicate: "value", Object: assertion.Number(float64(i % 7)), Confidence: 0.5,
		SourceClass: assertion.SourceClasses()[i%6], SourceHash: assertion.Hash{byte(i), byte(i >> 8), byte(i >> 16)}, Timestamp: 1_700_000_000 + uint64(i),
	}
	a.Signatures = []assertion.Signature{{AgentID: assertion.AgentID{byte(i % 10)}, Version: assertion.SignatureV2, Timestamp: a.Timestamp}}
	return a
}

func TestCursorsStayTrueWhileClaimsArrive(t *testing.T) {
	db, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 0, 1000, 100, plain)
	f := assertion.Filter{Subject: "subject-3"}
	page := func(cursor string) ([]*assertion.Claim, string) {
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		claims, next, err := v.Page(f, cursor, 4)
		if err != nil {
			t.Fatal(err)
		}
		return claims, next
	}
	first, next := page("")
	fill(t, db, 1000, 500, 100, plain) // newer claims, before the first page
	seen := map[assertion.Hash]bool{}
	for _, c := range first {
		seen[c.Hash] = true
	}
	for next != "" {
		var claims []*assertion.Claim
		claims, next = page(next)
		for _, c := range claims {
			if seen[c.Hash] {
				t.Fatalf("claim %s came twice", c.Hash)
			}
			seen[c.Hash] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d claims over all pages, want the 10 of the first page's time", len(seen))
	}
}

func TestForeignCursorsAreRefused(t *testing.T) {
	db, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 0, 200, 100, plain)
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_, next, err := v.Page(assertion.Filter{Subject: "subject-3"}, "", 1)
	if err != nil || next == "" {
		t.Fatalf("first page: %q, %v", next, err)
	}
	for _, tc := range []struct {
		f      assertion.Filter
		cursor string
	}{
		{assertion.Filter{Subject: "subject-4"}, next},
		{assertion.Filter{Subject: "subject-3"}, next[:len(next)-2] + "!!"},
		{assertion.Filter{Subject: "subject-3"}, "AA"},
		{assertion.Filter{Subject: "subject-3"}, "x" + next},
	} {
		if _, _, err := v.Page(tc.f, tc.cursor, 1); !errors.Is(err, ErrBadCursor) {
			t.Errorf("cursor %q for %+v: %v, want ErrBadCursor", tc.cursor, tc.f, err)
		}
	}
}

func TestABoundedScanStops(t *testing.T) {
	db, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 0, 300, 100, plain)
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	it := v.Scan(assertion.Filter{MinConfidence: 0.9}) // selects nothing
	defer it.Close()
	it.StopAfter(50)
	if it.Next() || !it.Stopped() || it.Scanned() != 50 || it.Err() != nil {
		t.Errorf("stopped %v after %d, %v", it.Stopped(), it.Scanned(), it.Err())
	}
}

func FuzzReadCursor(f *testing.F) {
	f.Add("", []byte{spaceAll})
	f.Add(writeCursor(make([]byte, 8), []byte{spaceAll, 1}), []byte{spaceAll})
	f.Fuzz(func(t *testing.T, cursor string, prefix []byte) {
		after, err := readCursor(cursor, make([]byte, 8), prefix)
		if err == nil && after != nil && !strings.HasPrefix(string(after), string(prefix)) {
			t.Errorf("cursor %q leads out of its index", cursor)
		}
	})
}
