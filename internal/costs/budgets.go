package costs

// budgets is the table of what operations may cost: what was measured, for
// bytes a twentieth more, and for allocations that are no whole number a fiftieth.
func budgets() []Budget {
	return []Budget{
		// api: a request in the whole of the server, without the socket; writes without
		// the store behind them.
		{"POST /v1/assert", Allocations, 84},
		{"POST /v1/assert", Bytes, 5510},
		{"a claim of POST /v1/assert/batch of 100", Allocations, 54.6},
		{"a claim of POST /v1/assert/batch of 100", Bytes, 4847},
		{"GET /v1/assertions/{hash}", Allocations, 102},
		{"GET /v1/assertions/{hash}", Bytes, 6409},
		{"GET /v1/skeptic", Allocations, 153},
		{"GET /v1/skeptic", Bytes, 10315},
		{"GET /v1/query?lens=consensus", Allocations, 329},
		{"GET /v1/query?lens=consensus", Bytes, 32953},
		{"GET /v1/layered", Allocations, 165},
		{"GET /v1/layered", Bytes, 12583},
		{"a claim of GET /v1/query?limit=100", Allocations, 25.8},
		{"a claim of GET /v1/query?limit=100", Bytes, 3088},
		{"GET /v1/health", Allocations, 37},
		{"GET /v1/health", Bytes, 1512},

		// assertion: one claim with a text of 256 bytes and one signer.
		{"read a claim from JSON", Allocations, 72},
		{"read a claim from JSON", Bytes, 2956},
		{"check a claim", Allocations, 27},
		{"check a claim", Bytes, 764},
		{"hash a claim", Allocations, 1},
		{"hash a claim", Bytes, 604},
		{"verify a claim", Allocations, 5},
		{"verify a claim", Bytes, 707},
		{"verify a claim of 100", Allocations, 4.2},
		{"verify a claim of 100", Bytes, 1887},
		{"encode a claim for the log", Allocations, 4},
		{"encode a claim for the log", Bytes, 1822},
		{"decode a claim from the log", Allocations, 7},
		{"decode a claim from the log", Bytes, 823},
		{"write a claim as JSON", Allocations, 10},
		{"write a claim as JSON", Bytes, 1948},

		// node: the log, of claims with a text of 256 bytes.
		{"1,000 claims, one after the other", Entries, 1000},
		{"1,000 claims, one after the other", Syncs, 2000},
		{"1,000 claims that arrive while one is committed", Entries, 2},
		{"1,000 claims that arrive while one is committed", Syncs, 4},
		{"10 requests of 100 claims, one after the other", Entries, 10},
		{"10 requests of 100 claims, one after the other", Syncs, 20},
		{"10 requests of 100 claims that arrive while one is committed", Entries, 2},
		{"10 requests of 100 claims that arrive while one is committed", Syncs, 4},
		{"a request of 1,000 claims", Entries, 2},
		{"a request of 1,000 claims", Syncs, 4},

		// fsm: each of another voice, on one of seven questions.
		{"apply one claim", Allocations, 50},
		{"apply one claim", Bytes, 6787},
		{"apply one entry", Batches, 1},
		{"apply one entry", Syncs, 0},
		{"apply a claim of 64 entries of 1", Allocations, 66.3},
		{"apply a claim of 64 entries of 1", Bytes, 4453},
		{"apply 64 entries at once", Batches, 1},
		{"apply 64 entries at once", Syncs, 0},
		{"apply a claim of an entry of 100", Allocations, 52.7},
		{"apply a claim of an entry of 100", Bytes, 3681},

		// index: whatever number of claims is stored; opening a view takes none.
		{"point read", KeysRead, 3},
		{"skeptic, 7 values", KeysRead, 14},
		{"consensus, 7 values", KeysRead, 14},
		{"layered, 7 values", KeysRead, 14},
		{"page of 100", KeysRead, 303},
		{"page of 100, by question", KeysRead, 303},
		{"store a claim of a new voice", KeysWritten, 16},
		{"store a claim of a new voice, of 100 in a batch", KeysWritten, 10.2},
		{"store a claim of a known voice", KeysWritten, 18},
		{"store a claim of a known voice, of 100 in a batch", KeysWritten, 12.2},
	}
}
