package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"sync/atomic"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/loadtest"
)

const (
	predicate = "value"
	// few is how many claims the question has that the one with many is compared
	// with.
	few = 1000
	// differentValues is how many values each of these two questions has.
	differentValues = 16
	// onSubject is how many claims every other subject has.
	onSubject = 100
	// inRequest is how many claims a request of store has.
	inRequest = 250
)

// source makes claims by their number: the first on the question with many, then
// those on the one with few, the others on ever new subjects.
type source struct {
	keys       []ed25519.PrivateKey
	hot        int
	valueBytes int
	sent       atomic.Int64 // bytes of the claims' JSON
}

func newSource(c *config) (*source, error) {
	s := &source{hot: c.hot, valueBytes: c.valueBytes}
	for range 64 {
		key, err := client.GenerateKey()
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// The subjects of the two questions.
const (
	hotSubject = "Stored:many"
	fewSubject = "Stored:few"
)

func (s *source) claim(i int) *client.ClaimBuilder {
	subject, value := hotSubject, assertion.Number(float64(i%differentValues))
	switch {
	case i >= s.hot+few:
		subject, value = fmt.Sprint("Stored:", i/onSubject), assertion.Text(loadtest.Prose(uint64(i), s.valueBytes))
	case i >= s.hot:
		subject = fewSubject
	}
	return client.NewClaim(subject, predicate, value).
		Source(fmt.Sprint("source ", i), assertion.Observational).At(1_700_000_000 + uint64(i/inRequest))
}

// signed is claim i, signed by one of the keys.
func (s *source) signed(i int) (*assertion.Assertion, error) {
	return s.claim(i).Sign(s.keys[i%len(s.keys)])
}

// hash is the content hash of claim i.
func (s *source) hash(i int) (assertion.Hash, error) {
	claim, err := s.claim(i).Build()
	if err != nil {
		return assertion.Hash{}, err
	}
	return claim.ContentHash(), nil
}

// store stores the first claims, at least so many, through all nodes in turn.
func (s *source) store(ctx context.Context, n *nodes, claims int) error {
	var dbs []*client.Client
	for i := range n.Nodes {
		db, err := client.New(n.URLs(), client.StartAt(i))
		if err != nil {
			return err
		}
		defer db.Close()
		dbs = append(dbs, db)
	}
	load := loadtest.Load{Workers: clients, Count: uint64((claims + inRequest - 1) / inRequest), Do: func(ctx context.Context, worker int, k uint64) error {
		return s.send(ctx, dbs[worker%len(dbs)], int(k)*inRequest)
	}}
	recorder := loadtest.NewRecorder(progressEvery)
	load.Run(ctx, recorder)
	m := recorder.Measured(loadtest.KindWrite, load, inRequest)
	if m.Failed > 0 {
		return fmt.Errorf("%d requests failed: %s", m.Failed, m.FirstFailure)
	}
	return nil
}

// send sends one request, which starts with claim first.
func (s *source) send(ctx context.Context, db *client.Client, first int) error {
	var body bytes.Buffer
	for i := first; i < first+inRequest; i++ {
		claim, err := s.signed(i)
		if err != nil {
			return err
		}
		line, err := json.Marshal(claim)
		if err != nil {
			return err
		}
		body.Write(append(line, '\n'))
	}
	s.sent.Add(int64(body.Len()))
	answer, err := db.AssertNDJSON(ctx, body.Bytes())
	if err != nil {
		return err
	}
	for _, r := range answer.Results {
		if r.Status != v1.StatusCreated {
			return fmt.Errorf("claim %d: %s: %s %s", first+r.Line-1, r.Status, r.Code, r.Detail)
		}
	}
	if len(answer.Results) != inRequest {
		return fmt.Errorf("%d results for %d claims", len(answer.Results), inRequest)
	}
	return nil
}
