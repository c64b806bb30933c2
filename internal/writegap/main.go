// Command writegap writes claims through one URL in a closed loop until its
// standard input ends, and tells the longest time between two acknowledgements.
// Then it reads every acknowledged claim back. It prints a line once the first
// claims are acknowledged, so that whoever started it can break something.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// warm is how many acknowledged claims make the beginning.
const warm = 200

func main() {
	url := flag.String("url", "", "the API")
	ca := flag.String("ca", "", "PEM file of the authorities of its certificate")
	writers := flag.Int("writers", 8, "writers at once")
	bound := flag.Duration("for", 2*time.Minute, "bound on the whole run")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *bound)
	defer cancel()
	if err := run(ctx, *url, *ca, *writers); err != nil {
		fmt.Fprintln(os.Stderr, "writegap:", err)
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context, url, ca string, writers int) error {
	var roots *x509.CertPool
	if ca != "" {
		var err error
		if roots, err = client.ReadRootCAs(ca); err != nil {
			return err
		}
	}
	db, err := client.New([]string{url}, client.WithAPIKey(os.Getenv("STEMEDB_API_KEY")), client.WithRootCAs(roots), client.WithAttempts(500))
	if err != nil {
		return err
	}
	defer db.Close()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin)) // its end is all that counts
		stop()
	}()
	w := &writer{db: db, last: time.Now()}
	if w.key, err = client.GenerateKey(); err != nil {
		return err
	}
	var all sync.WaitGroup
	failures := make([]error, writers)
	for i := range writers {
		all.Go(func() {
			failures[i] = w.loop(ctx, writing)
			stop()
		})
	}
	all.Wait()
	if err := cmp.Or(errors.Join(failures...), ctx.Err()); err != nil {
		return err
	}
	if len(w.acknowledged) < warm {
		return fmt.Errorf("only %d claims were acknowledged", len(w.acknowledged))
	}
	for hash := range slices.Values(w.acknowledged) {
		if _, err := db.Get(ctx, hash, client.Consistency{}); err != nil {
			return fmt.Errorf("LOST: the acknowledged claim %s cannot be read: %w", hash, err)
		}
	}
	fmt.Printf("longest gap between two acknowledged writes: %d ms; %d acknowledged by %d writers, all of them read back\n",
		w.longest.Milliseconds(), len(w.acknowledged), writers)
	return nil
}

type writer struct {
	db  *client.Client
	key ed25519.PrivateKey

	mu           sync.Mutex
	next         int
	last         time.Time
	longest      time.Duration
	acknowledged []assertion.Hash
}

// loop writes until writing ends; a write under way is finished, since its
// outcome counts.
func (w *writer) loop(ctx, writing context.Context) error {
	for writing.Err() == nil {
		w.mu.Lock()
		i := w.next
		w.next++
		w.mu.Unlock()
		claim, err := client.NewClaim(fmt.Sprintf("Sample:%d", i%50), "measured_value", assertion.Number(float64(i))).
			Source(fmt.Sprintf("lab %d", i), assertion.Observational).Confidence(0.7).Sign(w.key)
		if err != nil {
			return err
		}
		answer, err := w.db.Assert(ctx, claim)
		if err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		w.mu.Lock()
		w.acknowledged = append(w.acknowledged, answer.Hash)
		w.longest, w.last = max(w.longest, time.Since(w.last)), time.Now()
		if len(w.acknowledged) == warm {
			w.longest = 0 // of the beginning
			fmt.Println("writing")
		}
		w.mu.Unlock()
	}
	return nil
}
