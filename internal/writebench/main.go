// Command writebench measures the writes of a three-node cluster under a
// closed loop, and in the same run, on the same machine and disk, those of
// hashicorp/raft with the same log store alone, so that the cost of everything
// above raft shows as a ratio.
//
// Both sides keep fsync on and write the same number of bytes a claim. Claims
// are signed before the clock starts; the cluster verifies each signature, and
// every claim is read back.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/node"
)

type config struct {
	duration    time.Duration
	concurrency []int
	urls        []string
	stores      []string
	valueBytes  int
}

func main() {
	var c config
	var levels, urls, stores string
	flag.DurationVar(&c.duration, "duration", 5*time.Second, "length of each measurement")
	flag.StringVar(&levels, "concurrency", "1,16,100", "clients in the closed loop")
	flag.StringVar(&urls, "url", "", "nodes of a running cluster, separated by commas; default: start three")
	flag.StringVar(&stores, "log-store", "", "log stores to measure, separated by commas: boltdb, wal; default: both, or of a running cluster boltdb")
	flag.IntVar(&c.valueBytes, "value", 256, "bytes of each claim's value")
	flag.Parse()
	for _, level := range strings.Split(levels, ",") {
		n, err := strconv.Atoi(level)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "writebench: concurrency %q\n", level)
			os.Exit(2)
		}
		c.concurrency = append(c.concurrency, n)
	}
	if urls != "" {
		c.urls = strings.Split(urls, ",")
	}
	switch {
	case stores != "":
		c.stores = strings.Split(stores, ",")
	case urls != "":
		c.stores = []string{node.LogBolt}
	default:
		c.stores = []string{node.LogBolt, node.LogWAL}
	}
	for _, store := range c.stores {
		if store != node.LogBolt && store != node.LogWAL {
			fmt.Fprintf(os.Stderr, "writebench: log store %q: %s and %s are possible\n", store, node.LogBolt, node.LogWAL)
			os.Exit(2)
		}
	}
	if len(c.urls) > 0 && len(c.stores) > 1 {
		fmt.Fprintln(os.Stderr, "writebench: a running cluster has one log store: name it by --log-store")
		os.Exit(2)
	}
	if err := run(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, "writebench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	fmt.Printf("machine: %s/%s, %d CPUs, %s%s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), kernel())
	fmt.Printf("closed loop, %v each, %d-byte values, fsync on; claims signed beforehand, verified by the cluster\n\n", c.duration, c.valueBytes)
	fmt.Printf("%-34s %10s %10s %10s %10s\n", "", "writes/s", "p50 ms", "p99 ms", "ratio")
	for _, store := range c.stores {
		if err := measure(ctx, c, store); err != nil {
			return err
		}
	}
	return nil
}

// measure prints the rows of one log store.
func measure(ctx context.Context, c config, store string) error {
	bare, err := measureBare(c, store)
	if err != nil {
		return fmt.Errorf("raft and %s alone: %w", store, err)
	}
	full, follower, err := measureCluster(ctx, c, store)
	if err != nil {
		return fmt.Errorf("cluster with %s: %w", store, err)
	}
	for i, n := range c.concurrency {
		row(fmt.Sprintf("raft + %s alone, c=%d", store, n), bare[i], "")
		ratio := full[i].PerSecond / bare[i].PerSecond
		row(fmt.Sprintf("StemeDB, %s, leader, c=%d", store, n), full[i], fmt.Sprintf("%.0f%%", 100*ratio))
	}
	ofLeader := ""
	if i := slices.Index(c.concurrency, followerLevel); i >= 0 {
		ofLeader = fmt.Sprintf("%.0f%% of it", 100*follower.PerSecond/full[i].PerSecond)
	}
	row(fmt.Sprintf("StemeDB, %s, follower, c=%d", store, followerLevel), follower, ofLeader)
	return nil
}

func row(what string, m *loadtest.Measurement, ratio string) {
	fmt.Printf("%-34s %10.0f %10.2f %10.1f %10s\n", what, m.PerSecond, m.P50, m.P99, ratio)
}

func kernel() string {
	out, err := exec.Command("uname", "-sr").Output()
	if err != nil {
		return ""
	}
	return ", " + strings.TrimSpace(string(out))
}
