package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// fault is a refusal by the API itself; Code names its kind.
type fault struct {
	code, field, detail, fix string
	checks                   []v1.Check
	retryAfter               int // seconds, in place of the code's
	work                     *v1.WorkDemand
}

func (f *fault) Error() string { return f.code + ": " + f.detail }

func recovering() error {
	return &fault{code: v1.CodeRecovering, detail: "this node is still opening its state",
		fix: "ask another node, or this one again in a moment; /readyz tells when it is ready"}
}

// storeFault is how an error of a Store shows.
type storeFault struct {
	err       error
	code, fix string
	field     string // the parameter at fault, if it is always the same
}

func storeFaults() []storeFault {
	return []storeFault{
		{ErrOutcomeUnknown, v1.CodeOutcomeUnknown, "send the same claims again: what is there already answers exists", ""}, // first: it may wrap one of the others
		{ErrNoMember, v1.CodeMemberNotFound, "see GET /v1/cluster for the members", "node"},
		{ErrQuorumAtRisk, v1.CodeQuorumAtRisk, "see detail; force=true goes ahead all the same, but for the last voter, and may cost the quorum", "node"},
		{ErrMembership, v1.CodeMembershipConflict, "see detail; force=true skips what is only a precaution", "node"},
		{ErrLogGap, v1.CodeLogGap, "take a full backup", "after"},
		{ErrLogUnchanged, v1.CodeLogUnchanged, "nothing needs to be done: the backup before holds everything", ""},
		{ErrRemoved, v1.CodeNodeRemoved, "ask another node; /readyz and the log of this one say how it is added anew", ""},
		{ErrDisk, v1.CodeDiskUnavailable, "send the request to another node; this one takes part again when its disk is well", ""},
		{ErrDiskSpace, v1.CodeDiskSpaceLow, "the operator must make space on the disks; reads work", ""},
		{ErrFailed, v1.CodeNodeFailed, "ask another node; the operator finds the cause in this node's log", ""},
		{ErrTooStale, v1.CodeTooStale, "ask again, or allow a larger max_stale, or ask with consistency=local", ""},
		{ErrMinIndexNotReached, v1.CodeMinIndexNotReached, "ask again, or ask another node; check that min_index came from this cluster", ""},
		{ErrNoLeader, v1.CodeNoLeader, "try again in a moment; reads work with consistency=local", ""},
		{ErrOverloaded, v1.CodeOverloaded, "wait for Retry-After, then send the same request again", ""},
		{ErrStopping, v1.CodeStopping, "send the request to another node", ""},
		{ErrFutureState, v1.CodeInvalidParameter, "give a time that has passed at every node", "known_at"},
		{ErrNotFound, v1.CodeAssertionNotFound, "check the hash; a claim just written is found with min_index", ""},
		{ErrBadCursor, v1.CodeBadCursor, "repeat the query without cursor, with the same filters on every page", "cursor"},
	}
}

// faultOf sorts any error into a fault. An error that it does not know is
// internal, and says nothing of itself.
func faultOf(err error) *fault {
	var own *fault
	if errors.As(err, &own) {
		return own
	}
	var refused *assertion.Error
	if errors.As(err, &refused) {
		return &fault{code: refused.Code, field: refused.Field, detail: refused.Detail, fix: refused.Fix}
	}
	for _, known := range storeFaults() {
		if !errors.Is(err, known.err) {
			continue
		}
		detail := err.Error()
		if known.code == v1.CodeNodeFailed { // its cause may name files of the node
			detail = known.err.Error()
		}
		return &fault{code: known.code, field: known.field, detail: detail, fix: known.fix}
	}
	switch {
	case errors.Is(err, echo.ErrNotFound):
		return &fault{code: v1.CodeRouteNotFound, detail: "nothing is served at this path", fix: "see /docs for the routes"}
	case errors.Is(err, echo.ErrMethodNotAllowed):
		return &fault{code: v1.CodeMethodNotAllowed, detail: "the path is served, but not with this method", fix: "use a method that the header Allow lists"}
	case errors.Is(err, context.DeadlineExceeded):
		return &fault{code: v1.CodeTimeout, detail: "the node did not finish in time", fix: "try again, or ask for less"}
	case errors.Is(err, context.Canceled):
		return &fault{code: v1.CodeClientClosed, detail: "the client closed the connection before the answer"}
	}
	return &fault{code: v1.CodeInternal, detail: "an unexpected error; the node's log has it under the request id",
		fix: "report it to the operator with the request id"}
}

// problem makes the body of a fault.
func (s *Server) problem(c echo.Context, f *fault) *v1.Problem {
	k, known := s.kinds[f.code]
	if !known {
		k = kind{code: f.code, status: http.StatusBadRequest, title: "The request was refused"}
	}
	id, _ := c.Get(requestIDKey).(string)
	return &v1.Problem{
		Type: "/docs#" + k.code, Title: k.title, Status: k.status, Detail: f.detail, Instance: c.Request().URL.Path,
		Code: k.code, Field: f.field, Fix: f.fix, RequestID: id, TraceID: traceID(c), Checks: f.checks, Work: f.work,
	}
}

// fail answers with the problem of err and returns its code.
func (s *Server) fail(c echo.Context, err error) string {
	fault := faultOf(err)
	problem := s.problem(c, fault)
	if problem.Code == v1.CodeInternal {
		s.config.Logger.LogAttrs(c.Request().Context(), slog.LevelError, "request failed",
			slog.String("request_id", problem.RequestID), slog.String("path", problem.Instance), slog.String("error", err.Error()))
	}
	if c.Response().Committed {
		return problem.Code // too late: the client has a part of another answer
	}
	if problem.Status == http.StatusUnauthorized {
		c.Response().Header()["Www-Authenticate"] = []string{`Bearer realm="StemeDB"`}
	}
	if after := cmp.Or(fault.retryAfter, s.kinds[problem.Code].retryAfter); after > 0 {
		c.Response().Header()["Retry-After"] = []string{strconv.Itoa(after)}
	}
	s.linger(c, problem.Code)
	if err := s.answer(c, problem.Status, v1.MediaProblem, problem); err != nil {
		s.config.Logger.ErrorContext(c.Request().Context(), "a problem could not be encoded", "request_id", problem.RequestID, "error", err)
	}
	return problem.Code
}

// refusal is the fault of an outcome that refuses a claim; nil if it does not.
func refusal(r EntryResult) *fault {
	switch r.Outcome {
	case Created, Exists, Cosigned, Quarantined, Held:
		return nil
	case NotOwner:
		return &fault{code: v1.CodeNotOwner, field: "parent_hash",
			detail: "a transition must be signed by a signer of its parent, who signed it when it was first stored; after an administrator's, none of theirs counts", fix: "sign with a key that signed the parent first, or ask an administrator"}
	case ParentDiffers:
		return &fault{code: v1.CodeParentDiffers, field: "parent_hash",
			detail: "a transition must have the subject, predicate, object and source of its parent", fix: "state another value as a claim of its own, and supersede this one by it"}
	case ParentNotFound:
		return &fault{code: v1.CodeParentNotFound, field: "parent_hash",
			detail: "there is no claim of this hash", fix: "store the parent first, or remove parent_hash"}
	case V1Cosign:
		return &fault{code: v1.CodeSignatureV1Cosign, field: "signatures",
			detail: "the claim is there with signatures of version 2, which one of version 1 cannot join", fix: "sign with version 2"}
	case TooManySigners:
		return &fault{code: v1.CodeSignersFull, field: "signatures",
			detail: fmt.Sprintf("with these the claim would have more than %d signers", assertion.MaxSignatures), fix: "state the claim on a source of your own"}
	}
	return defenceRefusal(r)
}

// defenceRefusal is the fault of an outcome by which what a node decided on an
// entry refuses it.
func defenceRefusal(r EntryResult) *fault {
	switch r.Outcome {
	case Unreviewable:
		return &fault{code: v1.CodeContentRefused,
			detail: "the content defence would quarantine this, and a co-signature of a claim cannot wait for a review by itself", fix: "state it as a claim of its own, on a source of yours, which a reviewer can approve"}
	case WorkReused:
		return &fault{code: v1.CodeWorkReused, field: v1.HeaderPoWNonce,
			detail: "the proof of work has admitted something else before", fix: "prove work anew for each request"}
	case WorkStale:
		return &fault{code: v1.CodeWorkStale, field: v1.HeaderPoWTimestamp,
			detail: fmt.Sprintf("the proof of work is more than %d seconds from the cluster's time", assertion.WorkWindowSeconds), fix: "prove work anew; check this machine's clock"}
	}
	return &fault{code: v1.CodeInternal, detail: "the store answered with an outcome that this version does not know"}
}

// status is what a claim that was not refused is reported as.
func status(o Outcome) v1.Status {
	switch o {
	case Created:
		return v1.StatusCreated
	case Cosigned:
		return v1.StatusCosigned
	case Quarantined, Held:
		return v1.StatusQuarantined
	default:
		return v1.StatusExists
	}
}
