package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
)

// measureCluster measures the leader at each concurrency, and a follower at 16.
func measureCluster(ctx context.Context, c config) (leader []measurement, follower measurement, err error) {
	if len(c.urls) == 0 {
		cluster, err := localcluster.Temporary(ctx, 3, nil)
		if err != nil {
			return nil, follower, err
		}
		defer cluster.Close()
		c.urls = cluster.URLs()
	}
	leaderURL, followerURL, err := roles(ctx, c.urls)
	if err != nil {
		return nil, follower, err
	}
	bodies := &supply{valueBytes: c.valueBytes}
	for _, n := range c.concurrency {
		m, err := measureNode(ctx, leaderURL, n, c.duration, bodies)
		if err != nil {
			return nil, follower, err
		}
		leader = append(leader, m)
	}
	follower, err = measureNode(ctx, followerURL, 16, c.duration, bodies)
	return leader, follower, err
}

func measureNode(ctx context.Context, url string, n int, d time.Duration, bodies *supply) (measurement, error) {
	c, err := client.New([]string{url}, client.WithAttempts(1))
	if err != nil {
		return measurement{}, err
	}
	defer c.Close()
	// A short run tells how many claims to sign before the clock starts.
	warm := bodies.take(2000)
	rehearsal, err := closedLoop(ctx, n, d/10, send(c, warm))
	if err != nil && !errors.Is(err, errSupply) {
		return measurement{}, err
	}
	rate := rehearsal.rate
	if err != nil {
		rate = 20000
	}
	return closedLoop(ctx, n, d, send(c, bodies.take(int(rate*d.Seconds()*1.6)+2000)))
}

var errSupply = errors.New("more claims were needed than were signed beforehand")

func send(c *client.Client, bodies [][]byte) func(context.Context, uint64) error {
	return func(ctx context.Context, i uint64) error {
		if i >= uint64(len(bodies)) {
			return errSupply
		}
		answer, err := c.AssertJSON(ctx, bodies[i])
		if err != nil {
			return err
		}
		if answer.Status != v1.StatusCreated {
			return fmt.Errorf("claim %d: %s", i, answer.Status)
		}
		return nil
	}
}

// supply signs claims that have never been sent.
type supply struct {
	valueBytes int
	made       int
}

func (s *supply) take(n int) [][]byte {
	bodies := make([][]byte, n)
	first := s.made
	s.made += n
	var wg sync.WaitGroup
	workers := runtime.NumCPU()
	for w := range workers {
		wg.Go(func() {
			seed := make([]byte, ed25519.SeedSize)
			seed[0] = byte(w + 1)
			key := ed25519.NewKeyFromSeed(seed)
			for i := w; i < n; i += workers {
				bodies[i] = s.claim(first+i, key)
			}
		})
	}
	wg.Wait()
	return bodies
}

func (s *supply) claim(i int, key ed25519.PrivateKey) []byte {
	value := fmt.Sprintf("%d-%d-", time.Now().UnixNano(), i)
	value += strings.Repeat("x", max(s.valueBytes-len(value), 0))
	a, err := client.NewClaim(fmt.Sprintf("bench:%d", i%1000), "value", assertion.Text(value)).Source("writebench", assertion.Observational).Sign(key)
	if err != nil {
		panic(err) // the claim is made of constants
	}
	body, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	return body
}

// roles finds the leader and a follower among the nodes.
func roles(ctx context.Context, urls []string) (leader, follower string, err error) {
	c, err := client.New(urls)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	for i, url := range urls {
		h, err := c.Health(ctx, i)
		if err != nil {
			return "", "", err
		}
		if h.Role == "leader" {
			leader = url
		} else {
			follower = url
		}
	}
	if leader == "" || follower == "" {
		return "", "", errors.New("a leader and a follower are needed among the nodes")
	}
	return leader, follower, nil
}
