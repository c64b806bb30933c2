// Command writebench measures the writes of a three-node cluster under a
// closed loop, and in the same run, on the same machine and disk, those of
// hashicorp/raft with boltdb alone, so that the cost of everything above raft
// shows as a ratio.
//
// Both sides keep fsync on and write the same number of bytes a claim. Claims
// are signed before the clock starts; the cluster verifies each signature.
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
	fmt.Printf("%-28s %10s %10s %10s %10s\n", "", "writes/s", "p50", "p99", "ratio")
	for i, n := range c.concurrency {
		fmt.Printf("%-28s %10.0f %10s %10s\n", fmt.Sprintf("raft + boltdb alone, c=%d", n), bare[i].rate, bare[i].p50, bare[i].p99)
		fmt.Printf("%-28s %10.0f %10s %10s %9.0f%%\n", fmt.Sprintf("StemeDB, leader, c=%d", n), full[i].rate, full[i].p50, full[i].p99, 100*full[i].rate/bare[i].rate)
	}
	fmt.Printf("%-28s %10.0f %10s %10s\n", "StemeDB, follower, c=16", follower.rate, follower.p50, follower.p99)
	return nil
}

func kernel() string {
	out, err := exec.Command("uname", "-sr").Output()
	if err != nil {
		return ""
	}
	return ", " + strings.TrimSpace(string(out))
}
