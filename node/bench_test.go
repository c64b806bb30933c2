package node

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stemedb/stemedb/assertion"
)

// BenchmarkAssert writes verified claims through the leader of three nodes in
// this process, on real disks and ports, without HTTP.
func BenchmarkAssert(b *testing.B) {
	for _, callers := range []int{1, 16, 100} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := startCluster(b, 3, nil)
			leader := c.leader()
			key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
			claims := make([]*assertion.Assertion, b.N)
			for i := range claims {
				claims[i] = &assertion.Assertion{
					Subject: fmt.Sprintf("bench:%d", i%1000), Predicate: "value", Confidence: 0.5, SourceClass: assertion.Observational,
					Object: assertion.Text(fmt.Sprint(i) + strings.Repeat("x", 250)), SourceHash: assertion.Hash{1}, Timestamp: 1700000000,
				}
				claims[i].Sign(key, 1700000000)
			}
			var next atomic.Int64
			b.SetParallelism(callers) // × GOMAXPROCS
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := next.Add(1) - 1
					if _, err := leader.Write(b.Context(), Caller{}, claims[i]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
