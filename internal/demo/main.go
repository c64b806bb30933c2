// Command demo shows StemeDB at work on a real three-node cluster on loopback:
// it ingests conflicting claims, asks for resolved and contested answers, kills
// the leader in the middle of an ingestion, and checks that nothing that was
// acknowledged is lost. It exits 0 only if every step came out as it says.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stemedb/stemedb/internal/localcluster"
)

// usualPorts are those of `stemedb dev`; others are taken if they are in use.
var usualPorts = []int{18180, 18190, 18200}

func main() {
	bin := flag.String("bin", "bin", "folder with the programs that `make build` makes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	began := time.Now()
	if err := run(ctx, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: FAILED:", err)
		stop()
		os.Exit(1)
	}
	fmt.Printf("\nAll steps came out as they should, in %.0f s. Everything that the demo started is stopped and removed.\n", time.Since(began).Seconds())
}

func run(ctx context.Context, bin string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "stemedb-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ports, release, err := pickPorts()
	if err != nil {
		return err
	}
	defer release()
	cluster, err := localcluster.New(localcluster.Options{
		Binary: filepath.Join(bin, "stemedb"), Dir: dir, Ports: ports, Env: localcluster.CleanEnv(),
		Settings: map[string]string{"log-level": "warn"},
		Output: func(n *localcluster.Node) io.WriteCloser {
			file, err := os.OpenFile(filepath.Join(dir, n.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return discard{}
			}
			return file
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	d := &demo{cluster: cluster, bin: bin, dir: dir}
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Start three nodes on loopback", d.start},
		{"Ingest published figures about eight drugs, and claims that disagree with them", d.ingest},
		{"Write one signed claim with POST /v1/assert", d.assert},
		{"Read with GET /v1/query?subject=Semaglutide", d.query},
		{"Ask how contested an answer is: GET /v1/skeptic?subject=Semaglutide&predicate=nausea_rate", d.skeptic},
		{"The same question, one answer per kind of source: GET /v1/layered", d.layered},
		{"Every node holds everything: GET /v1/health", d.health},
		{"Kill the leader with SIGKILL in the middle of an ingestion", d.killLeader},
		{"Read every acknowledged claim back from both survivors", d.checkSurvivors},
		{"Start the killed node again and compare all three", d.restart},
	} {
		d.step++
		fmt.Printf("\n%2d. %s\n", d.step, step.title)
		if err := step.do(ctx); err != nil {
			d.showLogs()
			return fmt.Errorf("step %d (%s): %w", d.step, step.title, err)
		}
	}
	return cluster.Stop(30 * time.Second)
}

// discard is where a node's log goes if its file cannot be opened.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// pickPorts takes the usual ports if they are free.
func pickPorts() (ports []int, release func(), err error) {
	free := true
	for _, p := range usualPorts {
		free = free && localcluster.PortsFree(p) == nil
	}
	if free {
		return usualPorts, func() {}, nil
	}
	blocks, err := localcluster.ReserveBlocks(3)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range blocks {
		ports = append(ports, b.Port)
	}
	return ports, func() {
		for _, b := range blocks {
			_ = b.Release()
		}
	}, nil
}
