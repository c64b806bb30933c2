package api

import (
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/unicode/norm"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// planSubjects is GET /v1/subjects.
func planSubjects(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	begin := strings.TrimSuffix(norm.NFC.String(q.Get("prefix")), "*")
	return func(r reader) (any, error) {
		subjects, next, err := r.view.Subjects(begin, q.Get("cursor"), limit)
		if err != nil {
			return nil, err
		}
		out := v1.SubjectsResponse{Subjects: make([]v1.Subject, len(subjects)), NextCursor: next, Index: r.index()}
		for i, s := range subjects {
			predicates, err := r.view.Predicates(s, v1.MaxLimit)
			if err != nil {
				return nil, err
			}
			out.Subjects[i] = v1.Subject{Subject: s, Predicates: append([]string{}, predicates...)}
		}
		return out, nil
	}, nil
}

// planConflicts is GET /v1/conflicts. The order is that of the last changes, the
// figures are those of now; a question whose conflict is gone meanwhile is left
// out.
func planConflicts(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		questions, next, err := r.view.Contested(q.Get("cursor"), limit)
		if err != nil {
			return nil, err
		}
		out := v1.ConflictsResponse{Questions: []v1.ContestedQuestion{}, NextCursor: next, Index: r.index()}
		for _, question := range questions {
			in, err := r.input(ask{filter: assertion.Filter{Subject: question.Subject, Predicate: question.Predicate}}, lens.NeedsTally)
			if err != nil {
				return nil, err
			}
			result := lens.Skeptic(in)
			if len(result.Values) < 2 {
				continue
			}
			found, err := r.findings(ask{filter: assertion.Filter{Predicate: question.Predicate}}, in)
			if err != nil {
				return nil, err
			}
			out.Questions = append(out.Questions, v1.ContestedQuestion{
				Findings: found.of(result.Values[0].Object),
				Subject:  question.Subject, Predicate: question.Predicate, ConflictScore: result.Conflict.Score,
				Disagreement: result.Conflict.Disagreement, Status: string(result.Conflict.Status),
				Leading: result.Values[0].Object, Share: result.Values[0].Share, Values: result.Explanation.Values, Voices: result.Explanation.Voices,
			})
		}
		return out, nil
	}, nil
}
