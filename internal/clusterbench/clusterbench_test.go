package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/internal/localcluster"
)

func TestRowsAreMediansAndRatiosArePaired(t *testing.T) {
	table := newTable("writes")
	for _, round := range []struct{ bare, full float64 }{{100, 50}, {1000, 100}, {200, 60}} {
		bare := &loadtest.Measurement{PerSecond: round.bare}
		table.row("bare").add(bare, nil)
		table.row("full").add(&loadtest.Measurement{PerSecond: round.full, P50: 2, P99: round.full}, bare)
	}
	table.fact("a fact about %d", 3)
	var out bytes.Buffer
	table.print(&out)
	for _, want := range []string{"bare 200 100 to 1000 0.00 0.0", "full 60 50 to 100 2.00 60.0 30%", "a fact about 3"} {
		if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median of four is %v, want 2.5", got)
	}
}

func TestStoredClaimsAreOnTheQuestionsTheyShouldBe(t *testing.T) {
	c := &config{hot: 50, valueBytes: 64}
	s, err := newSource(c)
	if err != nil {
		t.Fatal(err)
	}
	on, hashes := map[string]int{}, map[assertion.Hash]bool{}
	const claims = 50 + few + 3*onSubject
	for i := range claims {
		claim, err := s.claim(i).Build()
		if err != nil {
			t.Fatal(err)
		}
		hash, err := s.hash(i)
		if err != nil || hash != claim.ContentHash() {
			t.Fatalf("claim %d has the hash %s, %v", i, hash, err)
		}
		on[claim.Subject]++
		hashes[hash] = true
	}
	if on[hotSubject] != 50 || on[fewSubject] != few || len(on) < 5 || len(hashes) != claims {
		t.Errorf("claims on subjects: %v; %d different ones of %d", on, len(hashes), claims)
	}
}

func TestAFileWithTwoNamesTakesItsSpaceOnce(t *testing.T) {
	n := &localcluster.Node{DataDir: t.TempDir()}
	write := func(name string, size int) {
		t.Helper()
		path := filepath.Join(n.DataDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte{1}, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("state/1.sst", 1<<20)
	write("raft.db", 2<<20)
	write("raft-wal/1.wal", 1<<20)
	if err := os.Link(filepath.Join(n.DataDir, "state/1.sst"), filepath.Join(n.DataDir, "state/link.sst")); err != nil {
		t.Fatal(err)
	}
	log, rest, err := diskOf(n)
	const blocks = 64 << 10 // a file system may need some more
	if err != nil || log < 3<<20 || log > 3<<20+blocks || rest < 1<<20 || rest > 1<<20+blocks {
		t.Errorf("log %d, rest %d, %v; want 3 and 1 MiB", log, rest, err)
	}
}

func TestResidentMemoryIsThatOfTheKernel(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux's")
	}
	resident, mapped, err := residentOf(os.Getpid())
	if err != nil || resident < 1<<20 || mapped == 0 || mapped > resident {
		t.Errorf("resident %d, mapped %d, %v", resident, mapped, err)
	}
}

func TestSettingsThatMeasureNothingAreRefused(t *testing.T) {
	good := config{sections: []string{"stored"}, rounds: 1, duration: 1, concurrency: []int{1}, claims: 10_000, hot: 100}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*config){
		"section":     func(c *config) { c.sections = []string{"writes", "all"} },
		"store":       func(c *config) { c.stores = []string{"bolt"} },
		"rounds":      func(c *config) { c.rounds = 0 },
		"duration":    func(c *config) { c.duration = 0 },
		"concurrency": func(c *config) { c.concurrency = []int{16, 0} },
		"too few":     func(c *config) { c.claims = c.hot + few },
	} {
		bad := good
		spoil(&bad)
		if bad.check() == nil {
			t.Errorf("%s: not refused", what)
		}
	}
}
