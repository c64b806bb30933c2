package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/internal/localcluster"
	"github.com/stemedb/stemedb/node"
)

const (
	progressEvery = 10 * time.Second
	// sampled is how many of the stored claims are read back, from every node.
	sampled = 1000
	// asked is how often each of the two questions is asked in a round.
	asked = 1000
	// quiet is for how long the disk may not have changed for compactions to count
	// as finished; settleWithin bounds the wait.
	quiet        = 15 * time.Second
	settleWithin = 5 * time.Minute
	readyWithin  = 2 * time.Minute
	mebi         = 1 << 20
)

// storedLevels are the clients of the writes that are compared.
var storedLevels = []int{clients, 100}

// measureStored measures what becomes of a cluster with millions of claims.
func measureStored(ctx context.Context, c *config, t *table) error {
	return eachStore(ctx, c, t, storedOf, c.logStores(node.LogBolt))
}

func storedOf(ctx context.Context, c *config, t *table, store string) error {
	n, err := startNodes(ctx, c, store)
	if err != nil {
		return err
	}
	defer n.Close()
	start := time.Now()
	if err := n.source.store(ctx, n, c.claims); err != nil {
		return fmt.Errorf("store %d claims: %w", c.claims, err)
	}
	took := time.Since(start)
	t.fact("%d claims stored in %.0f s, in requests of %d, signed meanwhile: %.0f a second", c.claims, took.Seconds(), inRequest, float64(c.claims)/took.Seconds())
	memory(t, n, "when they are stored")
	if err := settle(ctx, n); err != nil {
		return err
	}
	total, err := n.agree(ctx)
	if err != nil {
		return err
	}
	if err := n.source.readBack(ctx, n, c.claims); err != nil {
		return err
	}
	if err := disk(t, n, c.claims, total); err != nil {
		return err
	}
	if err := compareWithEmpty(ctx, c, t, n, store); err != nil {
		return err
	}
	if err := skeptic(ctx, c, t, n, store); err != nil {
		return err
	}
	memory(t, n, "after the measurements")
	return restarts(ctx, c, t, n)
}

// compareWithEmpty measures writes to the cluster with the stored claims and to a new
// one in turn, and lets the other begin in the next round: what one leaves to be done,
// and how fast the machine is meanwhile, tells on both. All six nodes run.
func compareWithEmpty(ctx context.Context, c *config, t *table, n *nodes, store string) error {
	fresh, err := startNodes(ctx, c, store)
	if err != nil {
		return err
	}
	defer fresh.Close()
	for round := range c.rounds {
		for _, writers := range storedLevels {
			order := []*nodes{fresh, n}
			if round%2 == 1 {
				slices.Reverse(order)
			}
			of := map[*nodes]*loadtest.Measurement{}
			for _, each := range order {
				if of[each], err = c.write(ctx, each.leader, writers, 1); err != nil {
					return fmt.Errorf("compare with a new cluster: %s: %w", each.leader, err)
				}
			}
			t.row(fmt.Sprintf("%s, empty, c=%d", store, writers)).add(of[fresh], nil)
			t.row(fmt.Sprintf("%s, %d claims, c=%d", store, c.claims, writers)).add(of[n], of[fresh])
		}
	}
	return nil
}

// agree waits until all nodes have the same claims, and is how many.
func (n *nodes) agree(ctx context.Context) (claims uint64, err error) {
	db, err := client.New(n.URLs())
	if err != nil {
		return 0, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		same := true
		var digest []byte
		for i := range n.Nodes {
			state, err := db.Cluster(ctx, i)
			if err != nil {
				return 0, err
			}
			same = same && (i == 0 || bytes.Equal(digest, state.Digest[:]))
			digest, claims = state.Digest[:], state.AssertionsCount
		}
		if same {
			return claims, nil
		}
		select {
		case <-ctx.Done():
			return 0, errors.New("the nodes do not come to the same state")
		case <-time.After(time.Second):
		}
	}
}

// readBack reads a sample of the stored claims from every node.
func (s *source) readBack(ctx context.Context, n *nodes, claims int) error {
	for i := range n.Nodes {
		db, err := client.New(n.URLs()[i : i+1])
		if err != nil {
			return err
		}
		for range sampled {
			k := rand.IntN(claims)
			hash, err := s.hash(k)
			if err == nil {
				_, err = db.Get(ctx, hash, client.Consistency{Level: "local"})
			}
			if err != nil {
				return fmt.Errorf("LOST: %s does not have the acknowledged claim %d: %w", n.Nodes[i].Name, k, err)
			}
		}
		db.Close()
	}
	return nil
}

// skeptic asks the leader for both questions in turn.
func skeptic(ctx context.Context, c *config, t *table, n *nodes, store string) error {
	db, err := client.New([]string{n.leader})
	if err != nil {
		return err
	}
	defer db.Close()
	questions := []string{fewSubject, hotSubject}
	names := []string{fmt.Sprintf("%s, skeptic, %d claims, c=1", store, few), fmt.Sprintf("%s, skeptic, %d claims, c=1", store, c.hot)}
	for range c.rounds {
		recorders := []*loadtest.Recorder{loadtest.NewRecorder(progressEvery), loadtest.NewRecorder(progressEvery)}
		of := func(k uint64) int { return int(k % 2) }
		load := loadtest.Load{Workers: 1, Count: 2 * asked, Of: of, Do: func(ctx context.Context, _ int, k uint64) error {
			answer, err := db.Skeptic(ctx, client.Query{Subject: questions[of(k)], Predicate: predicate, Consistency: client.Consistency{Level: "local"}})
			if err == nil && answer.Voices != []uint64{few, uint64(c.hot)}[of(k)] {
				err = fmt.Errorf("the question %s has %d voices", questions[of(k)], answer.Voices)
			}
			return err
		}}
		load.Run(ctx, recorders...)
		for i, r := range recorders {
			m := r.Measured(loadtest.KindRead, load, 1)
			if m.Failed > 0 {
				return fmt.Errorf("%d questions failed: %s", m.Failed, m.FirstFailure)
			}
			t.row(names[i]).add(m, nil)
		}
	}
	t.fact("skeptic, p99: %.1f times that of %d claims", median(t.row(names[1]).p99s)/median(t.row(names[0]).p99s), few)
	return nil
}

// restarts kills a follower and then the leader, in each round, and starts them
// again.
func restarts(ctx context.Context, c *config, t *table, n *nodes) error {
	for _, role := range []string{"follower", "leader"} {
		var took []float64
		for range c.rounds {
			seconds, err := restart(ctx, n, role == "leader")
			if err != nil {
				return fmt.Errorf("restart of the %s: %w", role, err)
			}
			took = append(took, seconds)
		}
		t.fact("the %s, killed and started again, is ready after %.1f s (median of %.1f)", role, median(took), took)
	}
	return nil
}

// restart kills a node and is how many seconds after its start it was ready.
func restart(ctx context.Context, n *nodes, leader bool) (seconds float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	first, other, err := loadtest.Roles(ctx, n.URLs())
	if err != nil {
		return 0, err
	}
	if !leader {
		first = other
	}
	killed := n.Nodes[first]
	if err := killed.Kill(); err != nil {
		return 0, err
	}
	// The others go on, under a leader, before it comes back.
	if err := n.WaitReady(ctx); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := killed.Start(); err != nil {
		return 0, err
	}
	err = n.WaitReady(ctx, killed)
	return time.Since(start).Seconds(), err
}

// memory tells what each node has resident, as the kernel counts it. Mapped files are
// the program and a boltdb log: of them the kernel can take back what it needs.
func memory(t *table, n *nodes, when string) {
	for _, each := range n.Nodes {
		resident, mapped, err := residentOf(each.PID())
		if err != nil {
			t.fact("memory of %s %s: %v", each.Name, when, err)
			continue
		}
		t.fact("memory of %s %s: %d MiB resident, of them %d MiB mapped files", each.Name, when, resident/mebi, mapped/mebi)
	}
}

// residentOf reads /proc/PID/status (proc_pid_status(5)).
func residentOf(pid int) (resident, mapped uint64, err error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kibi, _ := strconv.ParseUint(string(fields[1]), 10, 64) // of the lines below it is one
		switch string(fields[0]) {
		case "VmRSS:":
			resident = kibi << 10
		case "RssFile:":
			mapped = kibi << 10
		}
	}
	return resident, mapped, nil
}

// settle waits until compactions have ended.
func settle(ctx context.Context, n *nodes) error {
	deadline, before, since := time.Now().Add(settleWithin), int64(-1), time.Now()
	for time.Since(since) < quiet && time.Now().Before(deadline) {
		now := int64(0)
		for _, each := range n.Nodes {
			log, rest, err := diskOf(each)
			if err != nil {
				return err
			}
			now += log + rest
		}
		if now != before {
			before, since = now, time.Now()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
	return nil
}

// disk tells what a claim takes.
func disk(t *table, n *nodes, claims int, total uint64) error {
	raw := n.source.sent.Load() / int64(claims)
	for _, each := range n.Nodes {
		log, rest, err := diskOf(each)
		if err != nil {
			return err
		}
		t.fact("disk of %s: index %d MiB, %d bytes a claim, and log %d MiB; a claim is %d bytes of JSON, of which %d are its value",
			each.Name, rest/mebi, rest/int64(total), log/mebi, raw, n.source.valueBytes)
	}
	return nil
}

// diskOf is what the log of a node takes and what the rest of its data directory
// does, in bytes. Files with several names count once.
func diskOf(n *localcluster.Node) (log, rest int64, err error) {
	seen := map[uint64]bool{}
	err = filepath.WalkDir(n.DataDir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was compacted meanwhile
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		size := info.Size()
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			if seen[stat.Ino] {
				return nil
			}
			seen[stat.Ino] = true
			size = stat.Blocks * 512
		}
		name, err := filepath.Rel(n.DataDir, path)
		if err != nil {
			return err
		}
		if name == "raft.db" || filepath.Dir(name) == "raft-wal" {
			log += size
		} else {
			rest += size
		}
		return nil
	})
	return log, rest, err
}
