// Command clusterbench measures three nodes on this machine under a closed loop,
// and beside them, in the same run, what bounds them:
//
//   - writes, one claim a request, with each log store, beside hashicorp/raft with
//     that log store alone, so that the cost of everything above raft shows as a
//     ratio;
//   - batches, beside how many signatures the machine's processors can verify;
//   - reads of one claim, linearizable and local, beside the same client at a server
//     of net/http in its process that sends the same body;
//   - gaps: for how long no write is acknowledged when the leader is killed, and
//     when it is stopped in good order;
//   - stored: writes to a cluster with some millions of claims and, in turn, to a new
//     one; the answers to a question with a million claims, the memory, the disk, and
//     how long a killed node takes to be ready again.
//
// Every node keeps fsync on and verifies each signature. Claims are signed before
// the clock starts, and every acknowledged one is read back; of the millions a
// sample is, and all nodes must count as many.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/node"
)

type config struct {
	sections    []string
	rounds      int
	duration    time.Duration
	concurrency []int
	stores      []string
	valueBytes  int
	claims      int
	hot         int
	dir         string
}

// clients is how many there are where a section has only one number of them.
const clients = 16

func main() {
	var c config
	var sections, levels, stores string
	flag.StringVar(&sections, "only", "writes", "what to measure, separated by commas: writes, batches, reads, gaps, stored")
	flag.IntVar(&c.rounds, "rounds", 1, "how often; the table has medians")
	flag.DurationVar(&c.duration, "duration", 5*time.Second, "length of each measurement")
	flag.StringVar(&levels, "concurrency", "1,16,100", "clients of writes")
	flag.StringVar(&stores, "log-store", "", "log stores, separated by commas: boltdb, wal; default: of writes both, else boltdb")
	flag.IntVar(&c.valueBytes, "value", 256, "bytes of each claim's value")
	flag.IntVar(&c.claims, "claims", 5_000_000, "claims of stored")
	flag.IntVar(&c.hot, "hot", 1_000_000, "of them, those on one question")
	flag.StringVar(&c.dir, "dir", "", "folder on the disk to be measured; default: that for temporary files")
	flag.Parse()
	c.sections = strings.Split(sections, ",")
	if stores != "" {
		c.stores = strings.Split(stores, ",")
	}
	for _, level := range strings.Split(levels, ",") {
		n, err := strconv.Atoi(level)
		if err != nil {
			n = 0
		}
		c.concurrency = append(c.concurrency, n)
	}
	if err := c.check(); err != nil {
		fmt.Fprintln(os.Stderr, "clusterbench:", err)
		os.Exit(2)
	}
	if err := run(context.Background(), &c); err != nil {
		fmt.Fprintln(os.Stderr, "clusterbench:", err)
		os.Exit(1)
	}
}

func (c *config) check() error {
	for _, s := range c.sections {
		if measures[s] == nil {
			return fmt.Errorf("-only %s: writes, batches, reads, gaps and stored are possible", s)
		}
	}
	for _, s := range c.stores {
		if s != node.LogBolt && s != node.LogWAL {
			return fmt.Errorf("-log-store %s: %s and %s are possible", s, node.LogBolt, node.LogWAL)
		}
	}
	if c.rounds < 1 || c.duration <= 0 || slices.Min(c.concurrency) < 1 {
		return fmt.Errorf("-rounds, -duration and each -concurrency must be positive")
	}
	if c.hot < 1 || c.claims <= c.hot+few {
		return fmt.Errorf("-claims is %d: more than -hot and %d are needed, and -hot must be positive", c.claims, few)
	}
	return nil
}

// logStores are those to be measured, of which some sections take fewer.
func (c *config) logStores(unlessNamed ...string) []string {
	if len(c.stores) > 0 {
		return c.stores
	}
	return unlessNamed
}

var measures = map[string]func(context.Context, *config, *table) error{
	"writes": measureWrites, "batches": measureBatches, "reads": measureReads, "gaps": measureGaps, "stored": measureStored,
}

func run(ctx context.Context, c *config) error {
	fmt.Printf("machine: %v, %s\n", loadtest.ThisMachine(), runtime.Version())
	fmt.Printf("closed loop, medians of %d rounds of %v, %d-byte values, fsync on\n", c.rounds, c.duration, c.valueBytes)
	for _, section := range c.sections {
		t := newTable(section)
		err := measures[section](ctx, c, t)
		t.print(os.Stdout)
		if err != nil {
			return fmt.Errorf("%s: %w", section, err)
		}
	}
	return nil
}
