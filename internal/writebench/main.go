// Command writebench measures the writes of a three-node cluster under a
// closed loop, and in the same run, on the same machine and disk, those of
// hashicorp/raft with boltdb alone, so that the cost of everything above raft
// shows as a ratio.
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
	"strconv"
	"strings"
	"time"

	"github.com/stemedb/stemedb/internal/loadtest"
)

type config struct {
	duration    time.Duration
	concurrency []int
	urls        []string
	valueBytes  int
}

func main() {
	var c config
	var levels, urls string
	flag.DurationVar(&c.duration, "duration", 5*time.Second, "length of each measurement")
	flag.StringVar(&levels, "concurrency", "1,16,100", "clients in the closed loop")
	flag.StringVar(&urls, "url", "", "nodes of a running cluster, separated by commas; default: start three")
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
	if err := run(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, "writebench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	fmt.Printf("machine: %s/%s, %d CPUs, %s%s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), kernel())
	fmt.Printf("closed loop, %v each, %d-byte values, fsync on; claims signed beforehand, verified by the cluster\n\n", c.duration, c.valueBytes)
	bare, err := measureBare(c)
	if err != nil {
		return fmt.Errorf("raft and boltdb alone: %w", err)
	}
	full, follower, err := measureCluster(ctx, c)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	fmt.Printf("%-28s %10s %10s %10s %10s\n", "", "writes/s", "p50 ms", "p99 ms", "ratio")
	for i, n := range c.concurrency {
		row(fmt.Sprintf("raft + boltdb alone, c=%d", n), bare[i], "")
		row(fmt.Sprintf("StemeDB, leader, c=%d", n), full[i], fmt.Sprintf("%.0f%%", 100*full[i].PerSecond/bare[i].PerSecond))
	}
	row("StemeDB, follower, c=16", follower, "")
	return nil
}

func row(what string, m *loadtest.Measurement, ratio string) {
	fmt.Printf("%-28s %10.0f %10.2f %10.1f %10s\n", what, m.PerSecond, m.P50, m.P99, ratio)
}

func kernel() string {
	out, err := exec.Command("uname", "-sr").Output()
	if err != nil {
		return ""
	}
	return ", " + strings.TrimSpace(string(out))
}
