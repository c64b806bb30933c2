package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stemedb/stemedb/api"
	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/defense"
	"github.com/stemedb/stemedb/internal/settings"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/node"
)

// benchAgents is how many agents write; the cluster trusts each at 0.9 and more.
const benchAgents = 10_000

var (
	writeRate     = flag.Int("write-rate", 2000, "writes a second that BenchmarkWritesUnderLimits offers")
	limitsProfile = flag.String("limits-profile", "", "file for the CPU profile of BenchmarkWritesUnderLimits, without its set-up")
)

// BenchmarkWritesUnderLimits writes claims of 10,000 trusted agents over HTTP to
// one node with API keys, quotas, breakers, admission and the content defence on.
// With -limits-profile it shows what part of the processor these take: `make
// bench-limits` prints it. A single node does the least for each write beside
// that, so the part is the largest that a cluster can have.
func BenchmarkWritesUnderLimits(b *testing.B) {
	secret, err := auth.NewSecret("bench")
	if err != nil {
		b.Fatal(err)
	}
	server, n := limitedNode(b)
	web := httptest.NewServer(server)
	defer web.Close()
	if _, err := n.Write(b.Context(), node.Caller{}, &assertion.APIKey{ID: "bench", Revision: 1, Role: assertion.RoleWrite, Secret: auth.HashSecret(secret), CreatedAt: 1, QuotaPerHour: assertion.MaxKeyQuota}); err != nil {
		b.Fatal(err)
	}
	bodies := make([][]byte, b.N)
	keys := make([]ed25519.PrivateKey, benchAgents)
	for i := range keys {
		keys[i] = benchKey(i)
	}
	for i := range bodies {
		a := &assertion.Assertion{Subject: "subject-" + strconv.Itoa(i%1000), Predicate: "finding", Confidence: 0.8, SourceClass: assertion.Clinical,
			Object:     assertion.Text("In the trial numbered " + strconv.Itoa(i) + " the group that was treated did better than the other one, by " + strconv.Itoa(i%37) + " percent."),
			SourceHash: assertion.Hash{byte(i), byte(i >> 8)}, Timestamp: 1_700_000_000 + uint64(i)}
		a.Sign(keys[i%benchAgents], a.Timestamp)
		raw, err := json.Marshal(a)
		if err != nil {
			b.Fatal(err)
		}
		bodies[i] = raw
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var next atomic.Int64
	var wg sync.WaitGroup
	if *limitsProfile != "" && b.N > 1 { // the benchmark is tried with one write first
		file, err := os.Create(*limitsProfile)
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			b.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	b.ResetTimer()
	began := time.Now()
	for range 64 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return
				}
				due := began.Add(time.Duration(i) * time.Second / time.Duration(*writeRate))
				time.Sleep(time.Until(due)) // the rate that is offered
				request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, web.URL+"/v1/assert", bytes.NewReader(bodies[i]))
				if err != nil {
					b.Error(err)
					return
				}
				request.Header.Set("Content-Type", v1.MediaJSON)
				request.Header.Set(v1.HeaderAPIKey, secret)
				answer, err := client.Do(request)
				if err != nil {
					b.Error(err)
					return
				}
				body, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if err != nil || answer.StatusCode != http.StatusCreated {
					b.Errorf("%d %s %v", answer.StatusCode, body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "writes/s")
}

func benchKey(i int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint32(seed, uint32(i+1))
	return ed25519.NewKeyFromSeed(seed)
}

// limitedNode is a node of its own cluster, that trusts the bench's agents,
// behind an API with every limit on.
func limitedNode(b *testing.B) (*api.Server, *node.Node) {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	config := node.DefaultConfig()
	config.DataDir, config.BootstrapExpect, config.Logger = b.TempDir(), 1, log
	config.ClusterAddr, config.GossipAddr = freeAddress(b), freeAddress(b)
	n, err := node.Start(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := n.Stop(b.Context()); err != nil {
			b.Log(err)
		}
	})
	inspector, err := newInspector(defense.DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	server, err := api.New(api.Config{Version: "bench", Auth: api.AuthConfig{Enabled: true}, Inspector: inspector, Logger: log, Registerer: registry,
		Limits:  newLimits(&settings.Server{Meter: true, Admission: true, Breakers: true}).api,
		Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})})
	if err != nil {
		b.Fatal(err)
	}
	var verdicts []trust.Verdict
	for i := range benchAgents {
		for range 18 { // right every time: 19 of 20 with the prior
			verdicts = append(verdicts, trust.Verdict{Agent: assertion.AgentOf(benchKey(i)), Predicate: "finding", Right: true, At: 1})
		}
	}
	scores, err := trust.Compute(trust.Input{Index: 1, At: 1, Verdicts: verdicts})
	if err != nil {
		b.Fatal(err)
	}
	data, err := scores.Encode()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := n.Write(b.Context(), node.Caller{}, &assertion.Computed{Of: assertion.KindTrust, Index: 1, Data: data}); err != nil {
		b.Fatal(err)
	}
	server.Attach(n.ID(), store{n})
	return server, n
}

func freeAddress(b *testing.B) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
