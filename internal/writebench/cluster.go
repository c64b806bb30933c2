package main

import (
	"context"
	"fmt"
	"time"

	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/internal/localcluster"
)

// measureCluster measures the leader of nodes with a log store at each concurrency,
// and a follower at followerLevel.
func measureCluster(ctx context.Context, c config, kind string) (leader []*loadtest.Measurement, follower *loadtest.Measurement, err error) {
	if len(c.urls) == 0 {
		cluster, err := localcluster.Temporary(ctx, 3, map[string]string{"log-store": kind})
		if err != nil {
			return nil, nil, err
		}
		defer cluster.Close()
		c.urls = cluster.URLs()
	}
	first, other, err := loadtest.Roles(ctx, c.urls)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range c.concurrency {
		m, err := measureNode(ctx, c, c.urls[first], n)
		if err != nil {
			return nil, nil, err
		}
		leader = append(leader, m)
	}
	follower, err = measureNode(ctx, c, c.urls[other], followerLevel)
	return leader, follower, err
}

// followerLevel is how many clients a follower has.
const followerLevel = 16

// mostClaims bounds a measurement: so many claims can be signed before the clock
// starts.
const mostClaims = 100_000

// measureNode keeps n writers busy at one node, and reads back what it has
// acknowledged.
func measureNode(ctx context.Context, c config, url string, n int) (*loadtest.Measurement, error) {
	o := loadtest.Defaults()
	o.URLs, o.Scenarios = []string{url}, []string{loadtest.Baseline}
	o.Durations = map[string]time.Duration{loadtest.Baseline: c.duration}
	o.Assertions, o.Concurrency, o.ValueBytes = mostClaims, n, c.valueBytes
	report, err := loadtest.Run(ctx, o)
	if err != nil {
		return nil, err
	}
	result := report.Results[0]
	m := result.Phases[0].Writes
	switch v := result.Verification; {
	case m.Failed > 0:
		return nil, fmt.Errorf("%d writes failed: %s", m.Failed, m.FirstFailure)
	case v.Lost+v.Unread > 0:
		return nil, fmt.Errorf("%d acknowledged claims are lost and %d could not be read: %s", v.Lost, v.Unread, v.FirstFault)
	}
	return m, nil
}
