package api

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// restore is POST /v1/cluster/restore: it puts records of a backup into the log of
// a running cluster, and only adds: what the cluster has decided since stays.
func (s *Server) restore(c echo.Context) error {
	if _, err := mediaType(c.Request(), v1.MediaBinary); err != nil {
		return err
	}
	body, err := readBody(c, v1.MaxBatchBytes)
	if err != nil {
		return err
	}
	records, err := splitRecords(body)
	if err != nil {
		return err
	}
	store, err := s.store()
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	view, err := store.Read(ctx, Consistency{})
	if err != nil {
		return err
	}
	answer := v1.RestoreResponse{Refused: []v1.RestoreRefusal{}}
	entries, places, err := s.restorable(c, view, records, &answer)
	if closing := view.Close(); err != nil || closing != nil {
		return cmp.Or(err, closing)
	}
	if len(entries) > 0 {
		if err := s.putBack(ctx, c, store, entries, places, &answer); err != nil {
			return err
		}
	}
	setIndex(c, answer.Index)
	return s.ok(c, answer)
}

// splitRecords takes the body apart: before each record is its length as u32,
// big-endian.
func splitRecords(body []byte) (records [][]byte, err error) {
	bad := func(detail string) error {
		return &fault{code: assertion.CodeRecordInvalid, detail: detail, fix: "send what `stemectl restore` sends: for each record its length as a big-endian u32, and the record"}
	}
	for len(body) > 0 {
		if len(body) < 4 {
			return nil, bad("the body ends within a length")
		}
		size := binary.BigEndian.Uint32(body)
		body = body[4:]
		if size == 0 || uint64(size) > uint64(len(body)) {
			return nil, bad("the body ends within a record, or one is empty")
		}
		records, body = append(records, body[:size:size]), body[size:]
		if len(records) > v1.MaxBatchClaims {
			return nil, &fault{code: v1.CodeBatchTooLong, detail: fmt.Sprintf("more than %d records", v1.MaxBatchClaims), fix: "send several requests"}
		}
	}
	if len(records) == 0 {
		return nil, &fault{code: v1.CodeBatchEmpty, detail: "there is no record in the body", fix: "send at least one"}
	}
	return records, nil
}

// restorable are the entries of records that are to be put into the log, with
// their places among the records. The rest is counted in the answer.
func (s *Server) restorable(c echo.Context, view View, records [][]byte, answer *v1.RestoreResponse) (entries []assertion.Entry, places []int, err error) {
	for i, record := range records {
		e, admission, err := decodeRecord(record)
		if err == nil {
			err = s.holdRestored(e)
		}
		if err != nil {
			answer.Refused = append(answer.Refused, v1.RestoreRefusal{Record: i, Code: faultOf(err).code, Detail: faultOf(err).detail})
			continue
		}
		switch e.Kind() {
		case assertion.KindSource, assertion.KindSourceStatus, assertion.KindAlias, assertion.KindLabel, assertion.KindSeeds, assertion.KindDecision:
			// The newest counts, and what the cluster has is newer.
			decided, err := view.Decided(e)
			if err != nil {
				return nil, nil, err
			}
			if decided {
				answer.Existing++
				continue
			}
		}
		if admission.Authority != "" {
			admission.Authority = administrator(c)
		}
		if !admission.Plain() {
			e = &assertion.Admitted{Entry: e, Admission: admission}
		}
		entries, places = append(entries, e), append(places, i)
	}
	return entries, places, nil
}

// decodeRecord reads an entry as the log holds it.
func decodeRecord(record []byte) (e assertion.Entry, admission assertion.Admission, err error) {
	kind, record, admission, err := assertion.OpenEntry(record)
	if err != nil {
		return nil, admission, err
	}
	admission.Work = nil // what was admitted once needs no proof
	switch kind {
	case assertion.KindAssertion:
		a, _, err := assertion.DecodeRecord(record)
		return a, admission, err
	case assertion.KindVote, assertion.KindEpoch, assertion.KindSupersession, assertion.KindEndorsement, assertion.KindSource, assertion.KindSourceStatus,
		assertion.KindAlias, assertion.KindLabel, assertion.KindSeeds, assertion.KindDecision, assertion.KindAPIKey:
		e, err = assertion.DecodeEntry(kind, record)
		return e, admission, err
	}
	return nil, admission, &assertion.Error{Code: assertion.CodeRecordInvalid, Detail: fmt.Sprintf("entries of the kind %s are the cluster's own", kind), Fix: "leave them out"}
}

// holdRestored checks an entry as one that comes anew, its signatures included.
func (s *Server) holdRestored(e assertion.Entry) error {
	if err := s.hold(e); err != nil {
		return err
	}
	if claim, ok := e.(*assertion.Assertion); ok {
		return claim.Verify(s.verification())
	}
	return nil
}

// putBack writes entries and counts what became of them.
func (s *Server) putBack(ctx context.Context, c echo.Context, store Store, entries []assertion.Entry, places []int, answer *v1.RestoreResponse) error {
	result, err := store.Write(ctx, s.caller(c), entries)
	if err != nil {
		return err
	}
	answer.Index = result.Index
	for i, r := range result.Results {
		inner := entries[i]
		if admitted, ok := inner.(*assertion.Admitted); ok {
			inner = admitted.Entry
		}
		f := entryRefusal(inner, r)
		switch {
		case r.Outcome == Outdated: // an API key that the cluster knows better
			answer.Existing++
		case f != nil:
			answer.Refused = append(answer.Refused, v1.RestoreRefusal{Record: places[i], Code: f.code, Detail: f.detail})
		case r.Outcome.stored():
			answer.Added++
		default:
			answer.Existing++
		}
	}
	s.config.Logger.Warn("records of a backup were restored", "added", answer.Added, "existing", answer.Existing, "refused", len(answer.Refused), "index", answer.Index, "by", administrator(c))
	return nil
}

func restoreDoc() operation {
	return operation{
		id: "restore", tag: tagCluster, summary: "Put records of a backup into the log",
		description: "For `stemectl restore`, which reads them from a backup. Signatures are verified as always; quotas, proofs of work and the content defence do not apply, and what the defence had decided on a claim comes with its record. It only adds: where the newest entry counts (sources and their status, aliases, labels, seeds, decisions) one that the cluster has stays, and no API key that it has changes. An administrator's decisions count as those of the key that restores. Repeating it is safe.",
		body:        &bodyDoc{description: fmt.Sprintf("Up to %d records as the log holds them, each with its length as a big-endian u32 before it.", v1.MaxBatchClaims), media: []string{v1.MediaBinary}, schemas: []string{""}},
		answers:     []answerDoc{{http.StatusOK, "What became of them.", v1.MediaJSON, "RestoreResponse"}},
		codes: append(bodyCodes(), assertion.CodeRecordInvalid, v1.CodeBatchTooLong, v1.CodeBatchEmpty, v1.CodeNoLeader, v1.CodeOutcomeUnknown, v1.CodeOverloaded, v1.CodeStopping,
			v1.CodeRecovering, v1.CodeNodeRemoved, v1.CodeNodeFailed, v1.CodeTooStale, v1.CodeTimeout),
	}
}
