package v1

// The headers of answers.
const (
	// HeaderNode names the node that answered.
	HeaderNode = "X-Stemedb-Node"
	// HeaderIndex is the log index of the state that a read was answered from,
	// or at which a write was decided. Sent back as min_index it makes a later
	// read, on whatever node, see at least that state.
	HeaderIndex = "X-Stemedb-Index"
	// HeaderConsistency is the consistency that a read was served with.
	HeaderConsistency = "X-Stemedb-Consistency"
	// HeaderRequestID names the request in logs and problems. A request may
	// bring its own: 1 to 128 characters of A-Z a-z 0-9 . _ : / + = @ -.
	HeaderRequestID = "X-Request-Id"
	// HeaderAPIKey brings the secret of an API key. Authorization: Bearer does the
	// same, for programs that send only that.
	HeaderAPIKey = "X-API-Key"
	// HeaderPoWNonce and HeaderPoWTimestamp bring a proof of work (assertion.Work),
	// both as decimal numbers. The agent is the first signer of the entry.
	HeaderPoWNonce     = "X-PoW-Nonce"
	HeaderPoWTimestamp = "X-PoW-Timestamp"
	// HeaderQuotaLimit, HeaderQuotaRemaining and HeaderQuotaReset tell who is
	// charged for the request how many units an hour there are, how many are left,
	// and when the next hour begins, unix seconds.
	HeaderQuotaLimit     = "X-Quota-Limit"
	HeaderQuotaRemaining = "X-Quota-Remaining"
	HeaderQuotaReset     = "X-Quota-Reset"
	// HeaderAgentID names the agent on whose behalf a request is made. Nothing
	// proves it; it is for the audit of queries.
	HeaderAgentID = "X-Agent-Id"

	// HeaderBackupSize tells how many bytes a backup has before compression, 0 if
	// that is not known.
	HeaderBackupSize = "X-Stemedb-Backup-Size"
)

// The kinds of GET /v1/cluster/backup.
const (
	BackupFull = "full"
	BackupLog  = "log"
)

// The media types of bodies.
const (
	MediaJSON    = "application/json"
	MediaNDJSON  = "application/x-ndjson"
	MediaProblem = "application/problem+json"
	MediaEvents  = "text/event-stream"
	MediaBinary  = "application/octet-stream"
	MediaTar     = "application/x-tar"
)
