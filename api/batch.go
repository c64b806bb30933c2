package api

import (
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// batchLine is one claim of a batch as it was sent.
type batchLine struct {
	number int // its line or its place in the array, from 1
	text   []byte
}

// batch is POST /v1/assert/batch. Each line stands for itself: one that is
// refused does not touch the others. Lines are decided in order.
func (s *Server) batch(c echo.Context) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	lines, err := batchLines(c)
	if err != nil {
		return err
	}
	c.Set(bodyLinesKey, len(lines))
	results := make([]v1.BatchResult, len(lines))
	claims := make([]*assertion.Assertion, 0, len(lines))
	places := make([]int, 0, len(lines)) // of claims in results
	for i, line := range lines {
		results[i].Line = line.number
		claim, err := s.admit(line.text)
		if err == nil {
			err = mayStore(c, claim)
		}
		if err != nil {
			refuse(&results[i], faultOf(err))
			continue
		}
		claims, places = append(claims, claim), append(places, i)
	}
	claims, places = s.verifyLines(c, claims, places, results)
	var index uint64
	if len(claims) > 0 {
		entries := make([]assertion.Entry, len(claims))
		for i, claim := range claims {
			entries[i] = claim
		}
		written, err := s.write(c, store, entries)
		if err != nil {
			return err
		}
		if index = written.Index; index > 0 {
			setIndex(c, index)
		}
		for i, outcome := range written.Results {
			result := &results[places[i]]
			if outcome.Refused != nil {
				hash := claims[i].ContentHash()
				result.Hash = &hash
				refuse(result, faultOf(outcome.Refused))
				continue
			}
			result.Hash = &outcome.Hash
			if f := refusal(outcome); f != nil {
				refuse(result, f)
				continue
			}
			result.Status, result.Findings = status(outcome.Outcome), outcome.Findings
		}
	}
	s.noteBatch(c, results)
	return s.ok(c, v1.BatchResponse{Results: results, Index: index})
}

// verifyLines verifies all claims at once and keeps the good ones with their
// places; the others are refused in results.
func (s *Server) verifyLines(c echo.Context, claims []*assertion.Assertion, places []int, results []v1.BatchResult) ([]*assertion.Assertion, []int) {
	_, span := s.span(c, "verify")
	defer span.End()
	kept := 0
	for i, err := range assertion.VerifyBatch(claims, s.verification()) {
		if err != nil {
			result := &results[places[i]]
			hash := claims[i].ContentHash()
			result.Hash = &hash
			refuse(result, faultOf(err))
			continue
		}
		claims[kept], places[kept] = claims[i], places[i]
		kept++
	}
	return claims[:kept], places[:kept]
}

func refuse(r *v1.BatchResult, f *fault) {
	r.Status, r.Code, r.Field, r.Detail, r.Fix = v1.StatusRefused, f.code, f.field, f.detail, f.fix
}

// batchLines reads the body and takes it apart by its media type.
func batchLines(c echo.Context) ([]batchLine, error) {
	media, err := mediaType(c.Request(), v1.MediaNDJSON, v1.MediaJSON)
	if err != nil {
		return nil, err
	}
	body, err := readBody(c, v1.MaxBatchBytes)
	if err != nil {
		return nil, err
	}
	split := splitLines
	if media == v1.MediaJSON {
		split = splitArray
	}
	lines, err := split(body, v1.MaxBatchClaims)
	switch {
	case errors.Is(err, errTooManyLines):
		return nil, &fault{code: v1.CodeBatchTooLong, detail: fmt.Sprintf("more than %d claims", v1.MaxBatchClaims), fix: "send several batches"}
	case err != nil:
		return nil, err
	case len(lines) == 0:
		return nil, &fault{code: v1.CodeBatchEmpty, detail: "there is no claim in the body", fix: "send one claim per line, or a JSON array of claims"}
	}
	return lines, nil
}

// noteBatch counts a batch of which no line was good as a failure of its sender.
func (s *Server) noteBatch(c echo.Context, results []v1.BatchResult) {
	a := accountOf(c)
	if a == nil {
		return
	}
	for i := range results {
		if a.failed = failureOf(results[i].Code, s.kinds[results[i].Code].status); a.failed == 0 {
			return
		}
	}
}
