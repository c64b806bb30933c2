package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// nodes are the nodes under test.
type nodes struct {
	urls    []string
	options []client.Option
	// each has one client for each node, which talks to no other.
	each []*client.Client
}

func openNodes(urls []string, o *Options) (*nodes, error) {
	n := &nodes{urls: urls, options: []client.Option{client.WithAPIKey(o.APIKey), client.WithRootCAs(o.RootCAs)}}
	for _, url := range urls {
		c, err := client.New([]string{url}, n.options...)
		if err != nil {
			return nil, err
		}
		n.each = append(n.each, c)
	}
	return n, nil
}

func (n *nodes) close() {
	for _, c := range n.each {
		c.Close()
	}
}

// clients makes one client for each worker. They begin at different nodes, and
// each goes to another when its own does not answer.
func (n *nodes) clients(workers int) ([]*client.Client, error) {
	clients := make([]*client.Client, workers)
	for w := range clients {
		var err error
		if clients[w], err = client.New(n.urls, append([]client.Option{client.StartAt(w)}, n.options...)...); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

// describe asks every node what it is.
func (n *nodes) describe(ctx context.Context) (Cluster, error) {
	c := Cluster{URLs: n.urls}
	for i, each := range n.each {
		state, err := each.Cluster(ctx, 0)
		if err != nil {
			return c, fmt.Errorf("ask %s for the cluster: %w", n.urls[i], err)
		}
		health, err := each.Health(ctx, 0)
		if err != nil {
			return c, fmt.Errorf("ask %s for its state: %w", n.urls[i], err)
		}
		node := Node{Node: state.Node, Role: health.Role, Claims: state.AssertionsCount}
		for _, m := range state.Members {
			if m.Node == state.Node {
				node.Version = m.Version
			}
		}
		c.Nodes = append(c.Nodes, node)
		metered, err := meters(ctx, each)
		if err != nil {
			return c, fmt.Errorf("ask %s whether it meters: %w", n.urls[i], err)
		}
		c.Metering = c.Metering || metered
	}
	return c, nil
}

// meters says whether a node holds agents to a quota: only then it tells what is
// left of one.
func meters(ctx context.Context, c *client.Client) (bool, error) {
	key, err := client.GenerateKey()
	if err != nil {
		return false, err
	}
	status, err := c.AdmissionStatus(ctx, assertion.AgentOf(key))
	if err != nil {
		return false, err
	}
	return status.Quota != nil, nil
}

// rolesWithin is how long Roles waits for a leader and a follower.
const rolesWithin = 30 * time.Second

// Roles are the places of the leader and of a follower among the nodes, which it
// waits for as long as an election may take. It sends no API key: health needs none.
func Roles(ctx context.Context, urls []string) (leader, follower int, err error) {
	c, err := client.New(urls)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, rolesWithin)
	defer cancel()
	for {
		leader, follower, now := roles(ctx, c, urls)
		if now == nil {
			return leader, follower, nil
		}
		if ctx.Err() == nil || err == nil {
			err = now
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return 0, 0, err
		}
	}
}

// roles are the places of the leader and of a follower at this moment.
func roles(ctx context.Context, c *client.Client, urls []string) (leader, follower int, err error) {
	leader, follower = -1, -1
	var faults []error
	for i := range urls {
		h, err := c.Health(ctx, i)
		switch {
		case err != nil:
			faults = append(faults, err)
		case h.Role == "leader":
			leader = i
		case h.Role == "follower":
			follower = i
		}
	}
	if leader < 0 || follower < 0 {
		return 0, 0, errors.Join(append(faults, errors.New("a leader and a follower are needed among the nodes"))...)
	}
	return leader, follower, nil
}

// firstReadingWithin is how long a first reading may take.
const firstReadingWithin = 10 * time.Second

// memoryMetric is a node's resident memory in bytes.
const memoryMetric = "process_resident_memory_bytes"

// watchMemory reads the memory of every node until stop is called, which returns
// what was read. A reading that fails is left out, as while a node is down; the
// fault counts only if there is no reading at all. stop waits for a first reading.
func (n *nodes) watchMemory(ctx context.Context, every time.Duration) (stop func() []*Memory) {
	ctx, cancel := context.WithCancel(ctx)
	start := time.Now()
	read := make([]*Memory, len(n.urls))
	var done sync.WaitGroup
	for i, each := range n.each {
		read[i] = &Memory{URL: n.urls[i]}
		done.Go(func() {
			ticks := time.NewTicker(every)
			defer ticks.Stop()
			var fault error
			for {
				memory := memoryOf
				if len(read[i].Samples) == 0 {
					memory = firstMemoryOf
				}
				bytes, err := memory(ctx, each)
				if err == nil {
					read[i].Samples = append(read[i].Samples, MemorySample{AtSeconds: time.Since(start).Seconds(), Bytes: bytes})
				} else {
					fault = err
				}
				select {
				case <-ticks.C:
					continue
				case <-ctx.Done():
				}
				if fault != nil && len(read[i].Samples) == 0 {
					read[i].Fault = fault.Error()
				}
				return
			}
		})
	}
	return func() []*Memory {
		cancel()
		done.Wait()
		return read
	}
}

func memoryOf(ctx context.Context, c *client.Client) (float64, error) {
	page, err := c.Document(ctx, 0, "/metrics")
	if err != nil {
		return 0, err
	}
	return metricIn(page, memoryMetric)
}

// firstMemoryOf is memoryOf for a first reading, which a run that is over at once
// waits for.
func firstMemoryOf(ctx context.Context, c *client.Client) (float64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), firstReadingWithin)
	defer cancel()
	return memoryOf(ctx, c)
}

// metricIn reads a metric without labels from a page in the text format of
// Prometheus.
func metricIn(page []byte, name string) (float64, error) {
	for line := range bytes.Lines(page) {
		if value, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			return strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
		}
	}
	return 0, fmt.Errorf("the metrics have no %s", name)
}
