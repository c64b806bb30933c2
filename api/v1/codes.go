package v1

// The stable codes of problems that the HTTP layer and the cluster raise. The
// codes of faults in a claim are those of assertion.Error.
const (
	CodeBodyTooLarge         = "body_too_large"
	CodeBodyUnreadable       = "body_unreadable"
	CodeBatchEmpty           = "batch_empty"
	CodeBatchTooLong         = "batch_too_long"
	CodeUnsupportedMediaType = "unsupported_media_type"
	CodeUnsupportedEncoding  = "unsupported_encoding"

	CodeUnknownParameter = "unknown_parameter"
	CodeInvalidParameter = "invalid_parameter"
	CodeMissingParameter = "missing_parameter"
	CodeUnknownLens      = "unknown_lens"
	CodeBadCursor        = "bad_cursor"

	CodeNotOwner          = "not_owner"
	CodeParentNotFound    = "parent_not_found"
	CodeParentDiffers     = "parent_differs"
	CodeSignatureV1Cosign = "signature_v1_cosign"
	CodeSignersFull       = "signers_full"
	CodeAssertionNotFound = "assertion_not_found"
	CodeTargetNotFound    = "target_not_found"
	CodeNotFound          = "not_found"
	CodeRouteNotFound     = "route_not_found"
	CodeMethodNotAllowed  = "method_not_allowed"

	// CodeContentRefused: the content defence would quarantine what cannot wait
	// for a review.
	CodeContentRefused = "content_refused"
	CodeWorkRequired   = "work_required"
	CodeWorkInvalid    = "work_invalid"
	CodeWorkReused     = "work_reused"
	CodeWorkStale      = "work_stale"

	CodeAPIKeyMissing = "api_key_missing"
	CodeAPIKeyUnknown = "api_key_unknown"
	CodeAPIKeyRevoked = "api_key_revoked"
	CodeAPIKeyExpired = "api_key_expired"
	CodeForbidden     = "forbidden"
	CodeOutOfScope    = "out_of_scope"
	CodeRateLimited   = "rate_limited"
	CodeKeyConflict   = "key_conflict"
	CodeQuotaExceeded = "quota_exceeded"
	CodeCircuitOpen   = "circuit_open"

	CodeClusterChangeInvalid = "cluster_change_invalid"
	CodeMemberNotFound       = "member_not_found"
	CodeMembershipConflict   = "membership_conflict"
	CodeQuorumAtRisk         = "quorum_at_risk"

	CodeLogGap       = "log_gap"
	CodeLogUnchanged = "log_unchanged"

	CodeNodeRemoved        = "node_removed"
	CodeNoLeader           = "no_leader"
	CodeOutcomeUnknown     = "outcome_unknown"
	CodeOverloaded         = "overloaded"
	CodeStopping           = "stopping"
	CodeTooStale           = "too_stale"
	CodeRecovering         = "recovering"
	CodeNotReady           = "not_ready"
	CodeDiskUnavailable    = "disk_unavailable"
	CodeDiskSpaceLow       = "disk_space_low"
	CodeNodeFailed         = "node_failed"
	CodeMinIndexNotReached = "min_index_not_reached"
	CodeTimeout            = "timeout"
	// CodeClientClosed is in access logs only: its client is gone.
	CodeClientClosed = "client_closed"
	CodeInternal     = "internal"
)
