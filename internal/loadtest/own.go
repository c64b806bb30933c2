package loadtest

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stemedb/stemedb/internal/localcluster"
)

const (
	ownNodes = 3
	// diskPerHour is what three nodes write in an hour of 1,000 claims a second,
	// with logs and what compactions need meanwhile; leastDisk what any run needs.
	diskPerHour = 20 << 30
	leastDisk   = 1 << 30
	// perHour is the load that diskPerHour is for.
	perHour = 3600 * 1000
)

// startOwn starts three nodes on this machine, with fsync and without quotas.
func startOwn(ctx context.Context, o *Options) (*localcluster.TemporaryCluster, error) {
	if _, err := os.Stat(o.Server); err != nil {
		return nil, fmt.Errorf("the program of the nodes is needed to start a cluster: %w; name it with --server, or give the URLs of a running cluster with --api-url", err)
	}
	c, err := localcluster.TemporaryOf(ctx, o.Server, o.Dir, ownNodes, map[string]string{
		"meter-enabled": fmt.Sprint(o.Metered), "auth-enabled": "false",
	})
	if err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	return c, nil
}

// diskNeeded is the free space, in bytes, that the scenarios are to have.
func diskNeeded(o *Options) uint64 {
	const fastest = 5000 // claims a second of a closed loop, about
	claims := 0.0
	for _, s := range o.Scenarios {
		p := o.plan(s)
		rate := p.rate
		if rate == 0 {
			rate = fastest
		}
		most := rate * p.duration.Seconds()
		if p.assertions > 0 && (p.duration == 0 || float64(p.assertions) < most) {
			most = float64(p.assertions)
		}
		if s == Concurrent {
			most *= 2 // of its three phases two write
		}
		claims += most
	}
	return leastDisk + uint64(claims/perHour*diskPerHour)
}

// checkDisk refuses a run that would fill the disk.
func checkDisk(o *Options) (string, error) {
	dir := o.Dir
	if dir == "" {
		dir = os.TempDir()
	}
	free, err := freeDisk(dir)
	if err != nil {
		return "", fmt.Errorf("look for free space in %s: %w", dir, err)
	}
	needed := diskNeeded(o)
	text := fmt.Sprintf("disk: %.1f GB free in %s, %.1f GB wanted for this load", gigabytes(free), dir, gigabytes(needed))
	if free < needed {
		return "", fmt.Errorf("%s: free some, choose a shorter --duration, or name another folder with --dir", text)
	}
	return text, nil
}

// freeDisk is what an unprivileged user may still write to the file system of a
// folder, in bytes.
func freeDisk(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

func gigabytes(n uint64) float64 { return float64(n) / (1 << 30) }

// lookEvery is how often it is looked whether the leader is to be killed.
const lookEvery = 2 * time.Millisecond

// killLeader kills the leader of an own cluster as soon as due says so, and says
// what it did.
func killLeader(ctx context.Context, c *localcluster.TemporaryCluster, due func(elapsed time.Duration) bool) (*localcluster.Node, Event, error) {
	start := time.Now()
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for !due(time.Since(start)) {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil, Event{}, fmt.Errorf("the leader was not killed: %w", context.Cause(ctx))
		}
	}
	leader, _, err := Roles(ctx, c.URLs())
	if err != nil {
		return nil, Event{}, fmt.Errorf("find the leader to kill: %w", err)
	}
	node := c.Nodes[leader]
	event := Event{AtSeconds: time.Since(start).Seconds(), What: fmt.Sprintf("%s, the leader, was killed (SIGKILL)", node.Name)}
	return node, event, node.Kill()
}
