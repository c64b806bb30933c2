package v1

// The limits of requests. Those of a single assertion are assertion's.
const (
	// MaxAssertBytes bounds the body of POST /v1/assert and /v1/assert/prepare.
	MaxAssertBytes = 1 << 20
	// MaxBatchBytes bounds the body of POST /v1/assert/batch.
	MaxBatchBytes = 8 << 20
	// MaxBatchClaims bounds the claims in one batch.
	MaxBatchClaims = 1000
	// MaxSourceBytes bounds the body of POST /v1/sources: the text of a source with
	// every character escaped.
	MaxSourceBytes = 6<<20 + MaxAssertBytes
	// MaxLimit bounds the parameter limit.
	MaxLimit = 1000
	// DefaultLimit is the limit of a request that states none.
	DefaultLimit = 100
	// MaxScannedClaims bounds the claims that one resolution reads when it
	// cannot be answered from aggregates.
	MaxScannedClaims = 100_000
)
