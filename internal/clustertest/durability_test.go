package clustertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stemedb/stemedb/client"
)

// TestNoAcknowledgementBeforeTwoNodesHaveSynced watches the system calls of
// every node: when a write is acknowledged, the sync of the raft log has
// returned on at least two of the three.
func TestNoAcknowledgementBeforeTwoNodesHaveSynced(t *testing.T) {
	eachLogStore(t, func(t *testing.T, settings map[string]string) {
		w := startWatched(t, settings)
		for i := range 25 {
			if synced := w.syncedBeforeAck(i); synced < 2 {
				t.Errorf("write %d was acknowledged when %d nodes had synced their log, want 2", i, synced)
			}
		}
	})
}

// TestSyncsOfAWrite holds what a write costs each node's disk: bbolt syncs its pages
// and then the page that makes them valid, raft-wal what it has appended. Entries
// that a node writes by itself, and a change of raft-wal's segment, come on top:
// the fewest of some writes count.
func TestSyncsOfAWrite(t *testing.T) {
	eachLogStore(t, func(t *testing.T, settings map[string]string) {
		want := map[string]int{"boltdb": 2, "wal": 1}[settings["log-store"]]
		w := startWatched(t, settings)
		w.c.WaitEqual()
		fewest := map[string]int{}
		for i := range 10 {
			before := w.syncsOfAll()
			if _, err := w.db.Assert(t.Context(), Claim(t, i)); err != nil {
				t.Fatal(err)
			}
			w.c.WaitEqual()
			for _, n := range w.c.Nodes {
				// A line of the trace can come after the call that it is of.
				took := 0
				w.c.WaitFor("the trace holds the syncs of a write", func() bool { took = w.syncs(n) - before[n]; return took >= want })
				if i == 0 || took < fewest[n.Name] {
					fewest[n.Name] = took
				}
			}
		}
		for name, took := range fewest {
			if took != want {
				t.Errorf("%s synced its log %d times for a write, want %d", name, took, want)
			}
		}
	})
}

// TestTheCheckOfSyncsNoticesTheirAbsence runs the check above on a build that
// does not sync.
func TestTheCheckOfSyncsNoticesTheirAbsence(t *testing.T) {
	w := startWatched(t, map[string]string{}, "-tags=stemedb_unsafe_nofsync")
	for i := range 5 {
		if synced := w.syncedBeforeAck(i); synced != 0 {
			t.Errorf("write %d: %d nodes have synced, though syncing is switched off", i, synced)
		}
	}
}

// watched is a cluster whose syncs are written to a file per node.
type watched struct {
	t  *testing.T
	c  *Cluster
	db *client.Client
}

func startWatched(t *testing.T, settings map[string]string, buildFlags ...string) *watched {
	t.Helper()
	c := Start(t, Options{Settings: settings, BuildFlags: buildFlags, Wrap: watching(t)})
	return &watched{t: t, c: c, db: c.Client(c.Leader())}
}

// watching makes what traceSyncs does for every node. It skips the test where that
// is not possible.
func watching(t *testing.T) func(dir string, n *Node) []string {
	t.Helper()
	if !canTrace() {
		t.Skip("strace is not installed, or may not trace here")
	}
	return traceSyncs
}

// canTrace tells whether programs can be traced here.
var canTrace = sync.OnceValue(func() bool { return exec.Command("strace", "-o", os.DevNull, "true").Run() == nil })

// traceSyncs is put before a node's command line to write its syncs to its
// tracePath. -D keeps the node the process that is started; -y names the files.
func traceSyncs(dir string, n *Node) []string {
	return []string{"strace", "-D", "-f", "-y", "-e", "trace=fdatasync,fsync", "-o", tracePath(dir, n)}
}

func tracePath(dir string, n *Node) string { return filepath.Join(dir, n.Name+".strace") }

// syncedBeforeAck writes one claim while nothing else happens, and returns how
// many nodes finished a sync of their log between sending and acknowledgement.
func (w *watched) syncedBeforeAck(i int) (synced int) {
	w.t.Helper()
	w.c.WaitEqual() // every node has stored, and so synced, what came before
	before := w.syncsOfAll()
	if _, err := w.db.Assert(w.t.Context(), Claim(w.t, i)); err != nil {
		w.t.Fatal(err)
	}
	for _, n := range w.c.Nodes {
		if w.syncs(n) > before[n] {
			synced++
		}
	}
	return synced
}

// syncsOfAll is syncs of each node.
func (w *watched) syncsOfAll() map[*Node]int {
	counts := map[*Node]int{}
	for _, n := range w.c.Nodes {
		counts[n] = w.syncs(n)
	}
	return counts
}

// syncs counts the completed syncs of what a node has written to its raft log. The
// boltdb log syncs its writes by fdatasync; by fsync it syncs a new length of its
// file, whether it syncs its writes or not.
func (w *watched) syncs(n *Node) int {
	if w.c.logStore == "wal" {
		return w.c.syncs(n, "fsync")
	}
	return w.c.syncs(n, "fdatasync")
}

// syncs counts the completed calls of a node that sync its raft log, by a pattern
// of their names. A call that another thread's interrupts is traced in two lines.
func (c *Cluster) syncs(n *Node, call string) (count int) {
	c.t.Helper()
	trace, err := os.ReadFile(tracePath(c.Dir, n))
	c.do(err)
	log := "<" + regexp.QuoteMeta(n.DataDir) + `/raft(\.db|-wal/\d+-[0-9a-f]+\.wal)>`
	whole := regexp.MustCompile(`^\d+ +(?:` + call + `)\(\d+` + log + `\) += 0`)
	begun := regexp.MustCompile(`^(\d+) +(?:` + call + `)\(\d+` + log + ` <unfinished`)
	resumed := regexp.MustCompile(`^(\d+) +<\.\.\. (?:` + call + `) resumed>\) += 0`)
	pending := map[string]bool{} // by thread
	for line := range strings.Lines(string(trace)) {
		switch {
		case whole.MatchString(line):
			count++
		case begun.MatchString(line):
			pending[begun.FindStringSubmatch(line)[1]] = true
		case resumed.MatchString(line):
			if thread := resumed.FindStringSubmatch(line)[1]; pending[thread] {
				delete(pending, thread)
				count++
			}
		}
	}
	return count
}
