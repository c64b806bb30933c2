package transport

import (
	"context"
	"testing"

	"github.com/stemedb/stemedb/assertion"
)

// BenchmarkReadIndex is the cost of an almost empty call over loopback, both
// sides in this process.
func BenchmarkReadIndex(b *testing.B) {
	server := listen(b, Config{}, &node{readIndex: echoIndex})
	client := listen(b, Config{}, nil).Client()
	ctx, addr, req := b.Context(), server.Addr(), ReadIndexRequest{ClusterID: "0123456789abcdef0123456789abcdef"}
	b.Run("one caller", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.ReadIndex(ctx, addr, req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many callers", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := client.ReadIndex(ctx, addr, req); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkForward is the cost of forwarding a group of claims.
func BenchmarkForward(b *testing.B) {
	server := listen(b, Config{}, &node{forward: func(_ context.Context, q ForwardRequest) (ForwardResponse, error) {
		results := make([]ForwardResult, len(q.Records))
		for i := range results {
			results[i] = ForwardResult{Outcome: 1, Hash: assertion.Hash{byte(i)}}
		}
		return ForwardResponse{Index: 1, Results: results}, nil
	}})
	client := listen(b, Config{}, nil).Client()
	for name, size := range map[string]int{"1 claim": 1, "64 claims": 64} {
		b.Run(name, func(b *testing.B) {
			req := ForwardRequest{ClusterID: "0123456789abcdef0123456789abcdef", Callers: make([]Caller, size)}
			for i := range size {
				req.Callers[i] = Caller{RequestID: "01J0000000000000000000000", AgentID: "a", RemoteAddr: "127.0.0.1:50000"}
				req.Records = append(req.Records, make([]byte, 450))
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Forward(b.Context(), server.Addr(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
