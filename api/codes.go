package api

import (
	"net/http"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// kind is what all problems of one code have in common.
type kind struct {
	code   string
	status int
	title  string
	// retryAfter is the value of Retry-After in seconds; 0 sends none.
	retryAfter int
}

// clientClosed is the status, in the access log only, of a request whose client
// went away.
const clientClosed = 499

// kinds is every problem that the API answers with, in the order of
// docs/errors.md.
func kinds() []kind {
	const (
		bad          = http.StatusBadRequest
		unauthorized = http.StatusUnauthorized
		forbidden    = http.StatusForbidden
		notFound     = http.StatusNotFound
		conflict     = http.StatusConflict
		tooLarge     = http.StatusRequestEntityTooLarge
		media        = http.StatusUnsupportedMediaType
		unavailable  = http.StatusServiceUnavailable
		timeout      = http.StatusGatewayTimeout
	)
	return []kind{
		// The text of a claim.
		{assertion.CodeInvalidJSON, bad, "The body is not valid JSON", 0},
		{assertion.CodeUnknownField, bad, "A field is not known", 0},
		{assertion.CodeDuplicateField, bad, "A field is given twice", 0},
		{assertion.CodeMissingField, bad, "A required field is missing", 0},
		{assertion.CodeInvalidField, bad, "A field has the wrong type", 0},
		{assertion.CodeHashInvalid, bad, "A hash or key is not lower-case hexadecimal of the right length", 0},
		// The content of a claim.
		{assertion.CodeSubjectInvalid, bad, "The subject breaks the rules of names", 0},
		{assertion.CodePredicateInvalid, bad, "The predicate breaks the rules of names", 0},
		{assertion.CodeObjectInvalid, bad, "The object is not a valid value", 0},
		{assertion.CodeNumberNotFinite, bad, "A number is not finite", 0},
		{assertion.CodeConfidenceOutOfRange, bad, "A confidence is outside 0 to 1", 0},
		{assertion.CodeSourceClassInvalid, bad, "The source class is not known", 0},
		{assertion.CodeSourceMetadataInvalid, bad, "The source metadata is not valid", 0},
		{assertion.CodeLifecycleInvalid, bad, "The lifecycle stage is not known", 0},
		{assertion.CodeVectorInvalid, bad, "The vector is not valid", 0},
		{assertion.CodeDerivedFromInvalid, bad, "The list of derivations is not valid", 0},
		{assertion.CodeTimestampInFuture, bad, "The timestamp lies in the future", 0},
		{assertion.CodeTooLarge, tooLarge, "The claim is too large", 0},
		// The content of other entries.
		{assertion.CodeVoteInvalid, bad, "The vote breaks the rules of votes", 0},
		{assertion.CodeEpochInvalid, bad, "The epoch breaks the rules of epochs", 0},
		{assertion.CodeSupersessionInvalid, bad, "The supersession breaks the rules of supersessions", 0},
		{assertion.CodeEndorsementInvalid, bad, "The endorsement breaks the rules of endorsements", 0},
		{assertion.CodeSourceInvalid, bad, "The source breaks the rules of sources", 0},
		{assertion.CodeAliasInvalid, bad, "The alias breaks the rules of aliases", 0},
		// The signatures of a claim.
		{assertion.CodeUnsigned, bad, "The claim is not signed", 0},
		{assertion.CodeTooManySignatures, bad, "The claim has too many signatures", 0},
		{assertion.CodeDuplicateSigner, bad, "An agent signed twice", 0},
		{assertion.CodeSignatureInvalid, bad, "A signature is wrong", 0},
		{assertion.CodeSignatureVersionUnsupported, bad, "The signature version is not known", 0},
		{assertion.CodeSignatureV1Disabled, bad, "Signatures of version 1 are not accepted", 0},
		{assertion.CodeSignatureVersionsMixed, bad, "Signatures of different versions are mixed", 0},
		// What the cluster decides on a claim.
		{v1.CodeNotOwner, forbidden, "No signer of the parent signed the transition", 0},
		{v1.CodeParentNotFound, notFound, "The parent does not exist", 0},
		{v1.CodeParentDiffers, conflict, "The transition says something else than its parent", 0},
		{v1.CodeSignatureV1Cosign, conflict, "A version 1 signature cannot join this claim", 0},
		{v1.CodeSignersFull, conflict, "The claim has as many signers as it can have", 0},
		// The request.
		{v1.CodeUnsupportedMediaType, media, "The media type is not accepted here", 0},
		{v1.CodeUnsupportedEncoding, media, "The content encoding is not accepted", 0},
		{v1.CodeBodyTooLarge, tooLarge, "The body is too large", 0},
		{v1.CodeBodyUnreadable, bad, "The body did not arrive whole", 0},
		{v1.CodeBatchEmpty, bad, "The batch holds no claim", 0},
		{v1.CodeBatchTooLong, tooLarge, "The batch holds too many claims", 0},
		{v1.CodeUnknownParameter, bad, "A query parameter is not known", 0},
		{v1.CodeInvalidParameter, bad, "A query parameter has an invalid value", 0},
		{v1.CodeMissingParameter, bad, "A query parameter is missing", 0},
		{v1.CodeUnknownLens, bad, "There is no such lens", 0},
		{v1.CodeBadCursor, bad, "The cursor is not one of this query", 0},
		{v1.CodeAssertionNotFound, notFound, "The claim does not exist", 0},
		{v1.CodeTargetNotFound, notFound, "What the entry is about does not exist", 0},
		{v1.CodeNotFound, notFound, "What was asked for does not exist", 0},
		{v1.CodeRouteNotFound, notFound, "There is no such route", 0},
		{v1.CodeMethodNotAllowed, http.StatusMethodNotAllowed, "The route does not take this method", 0},
		// What a node decides on an entry before it is proposed.
		{v1.CodeContentRefused, forbidden, "The content defence stops this", 0},
		{v1.CodeWorkRequired, http.StatusPreconditionRequired, "A proof of work is needed", 0},
		{v1.CodeWorkInvalid, http.StatusPreconditionRequired, "The proof of work is not good enough", 0},
		{v1.CodeWorkReused, conflict, "The proof of work was used before", 0},
		{v1.CodeWorkStale, http.StatusPreconditionRequired, "The proof of work is out of its window", 0},
		// API keys.
		{assertion.CodeAPIKeyInvalid, bad, "The API key breaks the rules of its fields", 0},
		{assertion.CodeDecisionInvalid, bad, "The decision lacks a reviewer or a reason", 0},
		{v1.CodeAPIKeyMissing, unauthorized, "An API key is needed", 0},
		{v1.CodeAPIKeyUnknown, unauthorized, "The API key is not known", 0},
		{v1.CodeAPIKeyRevoked, unauthorized, "The API key was revoked", 0},
		{v1.CodeAPIKeyExpired, unauthorized, "The API key has expired", 0},
		{v1.CodeForbidden, forbidden, "The role of the API key does not allow this", 0},
		{v1.CodeOutOfScope, forbidden, "The API key is not for this", 0},
		{v1.CodeRateLimited, http.StatusTooManyRequests, "The API key asks too often", 1},
		{v1.CodeQuotaExceeded, http.StatusTooManyRequests, "The quota of this hour is used up", 1},
		{v1.CodeCircuitOpen, http.StatusTooManyRequests, "Too many requests failed", 1},
		{v1.CodeKeyConflict, conflict, "The API key was changed or revoked", 0},
		// The membership.
		{v1.CodeClusterChangeInvalid, bad, "The change of the membership lacks a field, or has one too many", 0},
		{v1.CodeMemberNotFound, notFound, "The cluster has no such member", 0},
		{v1.CodeMembershipConflict, conflict, "The change does not fit the state of the cluster", 0},
		{v1.CodeQuorumAtRisk, conflict, "The change would lose the quorum", 0},
		// Backups.
		{assertion.CodeRecordInvalid, bad, "A record of a backup cannot be read", 0},
		{v1.CodeLogGap, conflict, "The log does not continue that backup", 0},
		{v1.CodeLogUnchanged, conflict, "There is nothing new in the log", 0},
		// The state of the node and the cluster.
		{v1.CodeNodeRemoved, unavailable, "The node was removed from the cluster", 5},
		{v1.CodeNoLeader, unavailable, "The cluster has no leader", 1},
		{v1.CodeOutcomeUnknown, unavailable, "The outcome of the write is unknown", 1},
		{v1.CodeOverloaded, unavailable, "Too many writes are waiting", 1},
		{v1.CodeStopping, unavailable, "The node is stopping", 1},
		{v1.CodeTooStale, unavailable, "The data is not fresh enough", 1},
		{v1.CodeRecovering, unavailable, "The node is recovering", 1},
		{v1.CodeNotReady, unavailable, "The node is not ready", 1},
		{v1.CodeDiskUnavailable, unavailable, "The disk of the node is in trouble", 1},
		{v1.CodeDiskSpaceLow, unavailable, "Too little disk space is free for writes", 5},
		{v1.CodeNodeFailed, unavailable, "The node has failed", 5},
		{v1.CodeMinIndexNotReached, unavailable, "The node has not applied min_index in time", 1},
		{v1.CodeTimeout, timeout, "The request took too long", 1},
		{v1.CodeClientClosed, clientClosed, "The client went away", 0},
		{v1.CodeInternal, http.StatusInternalServerError, "The server failed", 0},
	}
}

// byCode indexes kinds.
func byCode() map[string]kind {
	index := make(map[string]kind)
	for _, k := range kinds() {
		index[k.code] = k
	}
	return index
}
