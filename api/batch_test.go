package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// mixedBatch is one claim of each fate, and what must become of it.
func mixedBatch(t *testing.T, f *fixture) (lines []string, want []v1.Status, codes []string) {
	t.Helper()
	f.put(signed(claim(), "x"))
	wrong := signed(claim(func(a *assertion.Assertion) { a.Confidence = 0.1 }), "x")
	wrong.Signatures[0].Signature[0] ^= 1
	parent := claim().ContentHash()
	stranger := signed(claim(func(a *assertion.Assertion) { a.ParentHash = &parent }), "stranger")
	fresh := text(t, signed(claim(func(a *assertion.Assertion) { a.Confidence = 0.2 }), "x"))
	for _, line := range []struct {
		text   string
		status v1.Status
		code   string
	}{
		{fresh, v1.StatusCreated, ""},
		{"{nonsense", v1.StatusRefused, assertion.CodeInvalidJSON},
		{text(t, signed(claim(), "x")), v1.StatusExists, ""},
		{text(t, wrong), v1.StatusRefused, assertion.CodeSignatureInvalid},
		{text(t, signed(claim(), "y")), v1.StatusCosigned, ""},
		{text(t, stranger), v1.StatusRefused, v1.CodeNotOwner},
		{fresh, v1.StatusExists, ""}, // created above, in this very batch
		{strings.Replace(fresh, "20.3", "NaN", 1), v1.StatusRefused, assertion.CodeNumberNotFinite},
	} {
		lines, want, codes = append(lines, line.text), append(want, line.status), append(codes, line.code)
	}
	return lines, want, codes
}

func TestBatchLinesAreIndependent(t *testing.T) {
	for name, send := range map[string]func(f *fixture, lines []string) v1.BatchResponse{
		"ndjson": func(f *fixture, lines []string) v1.BatchResponse {
			return read[v1.BatchResponse](f.t, f.do(http.MethodPost, "/v1/assert/batch", strings.Join(lines, "\r\n")+"\n", ndjsonType), http.StatusOK)
		},
		"array": func(f *fixture, lines []string) v1.BatchResponse {
			return read[v1.BatchResponse](f.t, f.do(http.MethodPost, "/v1/assert/batch", " [ "+strings.Join(lines, " ,\n")+"]\n", jsonType), http.StatusOK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			lines, want, codes := mixedBatch(t, f)
			if name == "array" {
				// An unclosed brace is one element's fault in NDJSON, but in an
				// array it is the array's.
				lines[1] = "{nonsense}"
			}
			got := send(f, lines)
			if len(got.Results) != len(want) || got.Index != 2 {
				t.Fatalf("answer %+v", got)
			}
			for i, r := range got.Results {
				if r.Line != i+1 || r.Status != want[i] || r.Code != codes[i] {
					t.Errorf("line %d: %+v, want %s %s", i+1, r, want[i], codes[i])
				}
				if known := r.Hash != nil; known != (r.Code != assertion.CodeInvalidJSON && r.Code != assertion.CodeNumberNotFinite) {
					t.Errorf("line %d: hash %v with code %q", i+1, r.Hash, r.Code)
				}
				if refused := r.Status == v1.StatusRefused; refused != (r.Detail != "") || refused != (r.Fix != "") {
					t.Errorf("line %d: %+v", i+1, r)
				}
			}
			if count, _ := f.store.state(); count != 2 {
				t.Errorf("%d claims, want 2", count)
			}
			if n := f.metric("stemedb_assertions_ingested_total"); n != 3 {
				t.Errorf("ingested %g, want 3", n)
			}
		})
	}
}

func TestBatchCountsBlankLines(t *testing.T) {
	f := newFixture(t)
	a := text(t, signed(claim(), "x"))
	w := f.do(http.MethodPost, "/v1/assert/batch", "\n\n"+a+"\n \n"+a, "Content-Type: application/x-ndjson; charset=utf-8")
	got := read[v1.BatchResponse](t, w, http.StatusOK)
	if len(got.Results) != 2 || got.Results[0].Line != 3 || got.Results[1].Line != 5 {
		t.Errorf("results %+v", got.Results)
	}
}

// A batch of which nothing passes the door does not bother the store.
func TestBatchOfRefusedLines(t *testing.T) {
	f := newFixture(t)
	f.store.assertErr = api503
	got := read[v1.BatchResponse](t, f.do(http.MethodPost, "/v1/assert/batch", "{}\n[]", ndjsonType), http.StatusOK)
	if len(got.Results) != 2 || got.Index != 0 {
		t.Errorf("answer %+v", got)
	}
}

func TestBatchArrayIsTakenApart(t *testing.T) {
	f := newFixture(t)
	body := `[{"a":"],[\"{"}, 1 ,[[],{}],"x,y",{"b":"\\"}]`
	got := read[v1.BatchResponse](t, f.do(http.MethodPost, "/v1/assert/batch", body, jsonType), http.StatusOK)
	var fields []string
	for _, r := range got.Results {
		fields = append(fields, r.Code+" "+r.Field)
	}
	want := []string{"unknown_field a", "invalid_json ", "invalid_json ", "invalid_json ", "unknown_field b"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
}
