package api_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

func TestIngestAssertion(t *testing.T) {
	f := newFixture(t)
	a := signed(claim(), "regulator")

	created := f.assert(text(t, a))
	got := read[v1.AssertResponse](t, created, http.StatusCreated)
	if want := (v1.AssertResponse{Hash: a.ContentHash(), Status: v1.StatusCreated, Index: 1}); !reflect.DeepEqual(got, want) {
		t.Fatalf("answer %+v, want %+v", got, want)
	}
	if created.Header().Get(v1.HeaderNode) != "n1" || created.Header().Get(v1.HeaderIndex) != "1" {
		t.Errorf("headers %v", created.Header())
	}
	if count, _ := f.store.state(); count != 1 {
		t.Fatalf("%d claims", count)
	}

	again := read[v1.AssertResponse](t, f.assert(text(t, a)), http.StatusOK)
	if again.Status != v1.StatusExists || again.Hash != got.Hash {
		t.Errorf("again: %+v", again)
	}
	cosigned := read[v1.AssertResponse](t, f.assert(text(t, signed(claim(), "colleague"))), http.StatusOK)
	if cosigned.Status != v1.StatusCosigned || cosigned.Hash != got.Hash {
		t.Errorf("co-signed: %+v", cosigned)
	}

	stored := read[v1.AssertionDetail](t, f.get("/v1/assertions/"+got.Hash.String()), http.StatusOK)
	if stored.Hash != got.Hash || len(stored.Signatures) != 2 || stored.SignatureVersion != 2 || stored.LogIndex != 1 ||
		stored.CommittedAt != now || stored.Signatures[1].LogIndex != 3 || stored.EffectiveConfidence != nil {
		t.Errorf("stored: %+v", stored)
	}
	if err := stored.Signed().Verify(assertion.VerifyOptions{}); err != nil {
		t.Errorf("the answer does not verify: %v", err)
	}
	if n := f.metric("stemedb_assertions_ingested_total"); n != 2 {
		t.Errorf("ingested %g, want 2: one created, one co-signed", n)
	}
}

func TestIngestAssertionWithEveryField(t *testing.T) {
	f := newFixture(t)
	f.put(signed(claim(), "x"))
	parent := claim().ContentHash()
	a := signed(claim(func(a *assertion.Assertion) {
		a.Lifecycle, a.Timestamp = assertion.Approved, now
		a.SourceMetadata = []byte(`{"doi":"10.1056/NEJMoa2032183","n":1961}`)
		a.ParentHash, a.Epoch, a.VisualHash = &parent, &parent, &assertion.VisualHash{1, 2}
		a.Vector, a.DerivedFrom = []float32{0.5, -1}, []assertion.Hash{parent}
	}), "x")
	got := read[v1.AssertResponse](t, f.assert(text(t, a)), http.StatusCreated)
	stored := read[v1.AssertionDetail](t, f.get("/v1/assertions/"+got.Hash.String()), http.StatusOK)
	if signed := stored.Signed(); signed.ContentHash() != a.ContentHash() || signed.Verify(assertion.VerifyOptions{}) != nil {
		t.Errorf("stored %+v", stored)
	}
}

// The clock of the node is now; a timestamp may be up to 300 s ahead of it.
func TestIngestAssertionAtTheEdgeOfTheClock(t *testing.T) {
	f := newFixture(t)
	at := func(ts uint64) string {
		return text(t, signed(claim(func(a *assertion.Assertion) { a.Timestamp = ts }), "x"))
	}
	read[v1.AssertResponse](t, f.assert(at(now+300)), http.StatusCreated)
	refused(t, f.assert(at(now+301)), http.StatusBadRequest, assertion.CodeTimestampInFuture)
}

func TestIngestAssertionTransition(t *testing.T) {
	f := newFixture(t)
	parent := signed(claim(), "owner")
	f.put(parent)
	hash := parent.ContentHash()
	transition := func(to *assertion.Hash, signer string) *assertion.Assertion {
		return signed(claim(func(a *assertion.Assertion) {
			a.ParentHash, a.Lifecycle, a.Timestamp = to, assertion.Deprecated, now
		}), signer)
	}
	unknown := assertion.Hash{1}
	p := refused(t, f.assert(text(t, transition(&hash, "stranger"))), http.StatusForbidden, v1.CodeNotOwner)
	if p.Field != "parent_hash" || p.Fix == "" {
		t.Errorf("problem %+v", p)
	}
	refused(t, f.assert(text(t, transition(&unknown, "owner"))), http.StatusNotFound, v1.CodeParentNotFound)
	// Who co-signs agrees, and owns nothing by that.
	f.put(signed(claim(), "stranger"))
	refused(t, f.assert(text(t, transition(&hash, "stranger"))), http.StatusForbidden, v1.CodeNotOwner)
	// A transition says what its parent says.
	for _, other := range []func(*assertion.Assertion){
		func(a *assertion.Assertion) { a.Subject = "Aspirin" },
		func(a *assertion.Assertion) { a.Predicate = "dose" },
		func(a *assertion.Assertion) { a.Object = assertion.Number(1) },
		func(a *assertion.Assertion) { a.SourceHash = assertion.Hash{8} },
	} {
		differs := signed(claim(func(a *assertion.Assertion) { a.ParentHash, a.Lifecycle, a.Timestamp = &hash, assertion.Rejected, now }, other), "owner")
		refused(t, f.assert(text(t, differs)), http.StatusConflict, v1.CodeParentDiffers)
	}
	f.put(transition(&hash, "owner"))

	stored := read[v1.AssertionDetail](t, f.get("/v1/assertions/"+hash.String()), http.StatusOK)
	if stored.Lifecycle != assertion.Deprecated || stored.StatedLifecycle != assertion.Proposed {
		t.Errorf("lifecycle %s, stated %s", stored.Lifecycle, stored.StatedLifecycle)
	}
	if err := stored.Signed().Verify(assertion.VerifyOptions{}); err != nil {
		t.Errorf("the answer does not verify after a transition: %v", err)
	}
}

// With version 1 admitted, the same claim that is refused without it gets 201,
// and every answer that shows it says so.
func TestIngestAssertionV1(t *testing.T) {
	a := claim()
	a.SignV1(key("old"), now)
	body := text(t, a)

	off := newFixture(t)
	refused(t, off.assert(body), http.StatusBadRequest, assertion.CodeSignatureV1Disabled)
	unchanged(t, off, 0)

	on := newFixture(t, acceptV1)
	got := read[v1.AssertResponse](t, on.assert(body), http.StatusCreated)
	question := "subject=Semaglutide&predicate=nausea_rate"
	claims := []v1.Assertion{read[v1.AssertionDetail](t, on.get("/v1/assertions/"+got.Hash.String()), http.StatusOK).Assertion}
	for _, target := range []string{"/v1/query?" + question, "/v1/query?subject=Sema*", "/v1/query?" + question + "&lens=recency"} {
		claims = append(claims, read[v1.QueryResponse](t, on.get(target), http.StatusOK).Assertions...)
	}
	if len(claims) != 4 {
		t.Fatalf("%d answers, want 4", len(claims))
	}
	for i, c := range claims {
		if c.SignatureVersion != 1 || c.Signatures[0].Version != 1 {
			t.Errorf("answer %d is not marked: %+v", i, c)
		}
	}
	// A version 2 signer may join; the claim stays marked, for one of its
	// signatures does not cover the object.
	f := read[v1.AssertResponse](t, on.assert(text(t, signed(claim(), "new"))), http.StatusOK)
	if c := read[v1.AssertionDetail](t, on.get("/v1/assertions/"+f.Hash.String()), http.StatusOK); c.SignatureVersion != 1 {
		t.Errorf("signature version %d after a co-signer of version 2", c.SignatureVersion)
	}
	// The other way round is refused.
	on.put(signed(claim(func(a *assertion.Assertion) { a.Confidence = 0.5 }), "new"))
	joiner := claim(func(a *assertion.Assertion) { a.Confidence = 0.5 })
	joiner.SignV1(key("old"), now)
	refused(t, on.assert(text(t, joiner)), http.StatusConflict, v1.CodeSignatureV1Cosign)
}

func TestIngestAssertionFullOfSigners(t *testing.T) {
	f := newFixture(t)
	names := strings.Split("abcdefghijklmnopq", "")
	f.put(signed(claim(), names[:16]...))
	refused(t, f.assert(text(t, signed(claim(), names[16]))), http.StatusConflict, v1.CodeSignersFull)
}

// unchanged checks that refused claims left no trace.
func unchanged(t *testing.T, f *fixture, count uint64) {
	t.Helper()
	if n, _ := f.store.state(); n != count {
		t.Errorf("%d claims, want %d", n, count)
	}
}

// rejects sends bodies that must be refused to a server that holds one claim,
// and checks status, code, field, and that count and digest stay.
func rejects(t *testing.T, tests []rejection) {
	f := newFixture(t)
	f.put(signed(claim(), "first"))
	count, digest := f.store.state()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f.t = t
			p := refused(t, f.assert(test.body), test.status, test.code)
			if p.Field != test.field {
				t.Errorf("field %q, want %q", p.Field, test.field)
			}
			if p.Fix == "" {
				t.Error("no fix")
			}
			if n, d := f.store.state(); n != count || d != digest {
				t.Errorf("the state changed: %d claims, digest %s", n, d)
			}
			// The same line in a batch is refused for the same reason and does
			// not touch the claim beside it.
			if len(test.body) > v1.MaxBatchBytes/2 || strings.ContainsAny(test.body, "\n") {
				return
			}
			w := f.do(http.MethodPost, "/v1/assert/batch", test.body+"\n"+text(t, signed(claim(), "first")), ndjsonType)
			lines := read[v1.BatchResponse](t, w, http.StatusOK).Results
			if test.code == v1.CodeBodyTooLarge {
				test.code, test.field = assertion.CodeTooLarge, ""
			}
			if len(lines) != 2 || lines[0].Status != v1.StatusRefused || lines[0].Code != test.code || lines[0].Field != test.field ||
				lines[1].Status != v1.StatusExists {
				t.Errorf("batch: %s", w.Body)
			}
			if n, d := f.store.state(); n != count || d != digest {
				t.Errorf("the state changed by a batch: %d claims, digest %s", n, d)
			}
		})
	}
}

type rejection struct {
	name, body, code, field string
	status                  int
}

func TestRejectsUnsigned(t *testing.T) {
	wrong := signed(claim(), "x")
	wrong.Signatures[0].Signature[5] ^= 1
	three := signed(claim(), "x", "y", "z")
	three.Signatures[1].Signature[40] ^= 0x80
	other := signed(claim(), "x")
	other.Object = assertion.Number(60) // as if somebody put another value under the signature
	v1Claim := claim()
	v1Claim.SignV1(key("x"), now)
	mixed := signed(claim(), "x")
	mixed.SignV1(key("y"), now)
	twice := signed(claim(), "x", "x")
	version := signed(claim(), "x")
	version.Signatures[0].Version = 3
	unsigned := claim()
	unsigned.Signatures = []assertion.Signature{}
	absent := strings.Replace(text(t, unsigned), `,"signatures":[]`, "", 1)
	tests := []rejection{
		{"no list of signatures", absent, assertion.CodeUnsigned, "signatures", 400},
		{"an empty list", text(t, unsigned), assertion.CodeUnsigned, "signatures", 400},
		{"a wrong signature", text(t, wrong), assertion.CodeSignatureInvalid, "signatures[0].signature", 400},
		{"one bad among three", text(t, three), assertion.CodeSignatureInvalid, "signatures[1].signature", 400},
		{"another object under a signature", text(t, other), assertion.CodeSignatureInvalid, "signatures[0].signature", 400},
		{"version 1 while it is off", text(t, v1Claim), assertion.CodeSignatureV1Disabled, "signatures[0].version", 400},
		{"a signer twice", text(t, twice), assertion.CodeDuplicateSigner, "signatures[1].agent_id", 400},
		{"an unknown version", text(t, version), assertion.CodeSignatureVersionUnsupported, "signatures[0].version", 400},
	}
	rejects(t, tests)

	on := newFixture(t, acceptV1)
	refused(t, on.assert(text(t, mixed)), http.StatusBadRequest, assertion.CodeSignatureVersionsMixed)
	unchanged(t, on, 0)
}

func TestRejectsInvalid(t *testing.T) {
	good := text(t, signed(claim(), "x"))
	with := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	future := text(t, signed(claim(func(a *assertion.Assertion) { a.Timestamp = now + 3600 }), "x"))
	long := text(t, signed(claim(func(a *assertion.Assertion) { a.Subject = strings.Repeat("s", 513) }), "x"))
	control := text(t, signed(claim(func(a *assertion.Assertion) { a.Predicate = "a\tb" }), "x"))
	large := text(t, signed(claim(func(a *assertion.Assertion) { a.Object = assertion.Text(strings.Repeat("o", 64<<10)) }), "x"))
	rejects(t, []rejection{
		{"no JSON", "{", assertion.CodeInvalidJSON, "", 400},
		{"an empty object", "{}", assertion.CodeMissingField, "subject", 400},
		{"NaN", with("20.3", "NaN"), assertion.CodeNumberNotFinite, "object.value", 400},
		{"NaN as a string", with("20.3", `"NaN"`), assertion.CodeNumberNotFinite, "object.value", 400},
		{"a number no double holds", with("20.3", "1e999"), assertion.CodeNumberNotFinite, "object.value", 400},
		{"NaN as confidence", with("0.95", "NaN"), assertion.CodeNumberNotFinite, "confidence", 400},
		{"confidence above 1", with("0.95", "1.01"), assertion.CodeConfidenceOutOfRange, "confidence", 400},
		{"an over-long subject", long, assertion.CodeSubjectInvalid, "subject", 400},
		{"a control character", control, assertion.CodePredicateInvalid, "predicate", 400},
		{"a future timestamp", future, assertion.CodeTimestampInFuture, "timestamp", 400},
		{"an unknown field", with(`"subject"`, `"sbject":1,"subject"`), assertion.CodeUnknownField, "sbject", 400},
		{"a field twice", with(`"subject"`, `"subject":"a","subject"`), assertion.CodeDuplicateField, "subject", 400},
		{"a field of the wrong type", with("0.95", "true"), assertion.CodeInvalidField, "confidence", 400},
		{"a claim over 64 KiB", large, assertion.CodeTooLarge, "", 413},
		{"a body over the limit", `{"subject":"` + strings.Repeat("s", v1.MaxAssertBytes) + `"}`, v1.CodeBodyTooLarge, "", 413},
	})
}

func TestRejectsInvalidBatch(t *testing.T) {
	f := newFixture(t)
	post := func(body, contentType string) *http.Response {
		return f.do(http.MethodPost, "/v1/assert/batch", body, contentType).Result()
	}
	for name, test := range map[string]struct {
		body, contentType, code string
		status                  int
	}{
		"over 8 MiB":      {strings.Repeat("{}", v1.MaxBatchBytes/2+1), ndjsonType, v1.CodeBodyTooLarge, 413},
		"over 1000 lines": {strings.Repeat("{}\n", v1.MaxBatchClaims+1), ndjsonType, v1.CodeBatchTooLong, 413},
		"over 1000 items": {"[" + strings.Repeat("{},", v1.MaxBatchClaims) + "{}]", jsonType, v1.CodeBatchTooLong, 413},
		"nothing":         {" \n\n", ndjsonType, v1.CodeBatchEmpty, 400},
		"an empty array":  {"[ ]", jsonType, v1.CodeBatchEmpty, 400},
		"not an array":    {"{}", jsonType, assertion.CodeInvalidJSON, 400},
		"an open string":  {`["]`, jsonType, assertion.CodeInvalidJSON, 400},
		"a lone bracket":  {`[}]`, jsonType, assertion.CodeInvalidJSON, 400},
		"a form":          {"a=b", "Content-Type: application/x-www-form-urlencoded", v1.CodeUnsupportedMediaType, 415},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, f.do(http.MethodPost, "/v1/assert/batch", test.body, test.contentType), test.status, test.code)
		})
	}
	if r := post(strings.Repeat("{}\n", v1.MaxBatchClaims), ndjsonType); r.StatusCode != http.StatusOK {
		t.Errorf("exactly the limit of claims: status %d", r.StatusCode)
	}
	unchanged(t, f, 0)
}

// A body that lies about its length, or has none, is cut at the limit too.
func TestRejectsInvalidLengths(t *testing.T) {
	f := newFixture(t)
	r := newUnsizedRequest("/v1/assert", strings.Repeat(" ", v1.MaxAssertBytes+1))
	w := record(f, r)
	refused(t, w, http.StatusRequestEntityTooLarge, v1.CodeBodyTooLarge)
	// One that announces too much is refused before it is read, and its
	// connection with it.
	w = f.assert(strings.Repeat(" ", v1.MaxAssertBytes+1))
	refused(t, w, http.StatusRequestEntityTooLarge, v1.CodeBodyTooLarge)
	if w.Header().Get("Connection") != "close" {
		t.Errorf("headers %v", w.Header())
	}
	r = newUnsizedRequest("/v1/assert", strings.Repeat(" ", 100<<10)+text(t, signed(claim(), "x")))
	if w := record(f, r); w.Code != http.StatusCreated {
		t.Errorf("status %d below the limit: %s", w.Code, w.Body)
	}
}

func TestRejectsInvalidMediaTypes(t *testing.T) {
	f := newFixture(t)
	body := text(t, signed(claim(), "x"))
	for _, bad := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/x-ndjson", ";"} {
		refused(t, f.do(http.MethodPost, "/v1/assert", body, "Content-Type: "+bad), http.StatusUnsupportedMediaType, v1.CodeUnsupportedMediaType)
	}
	refused(t, f.do(http.MethodPost, "/v1/assert", body, jsonType, "Content-Encoding: gzip"), http.StatusUnsupportedMediaType, v1.CodeUnsupportedEncoding)
	unchanged(t, f, 0)
	for _, good := range []string{"application/json", "application/json; charset=UTF-8", "Application/JSON"} {
		if w := f.do(http.MethodPost, "/v1/assert", body, "Content-Type: "+good); w.Code >= 300 {
			t.Errorf("%q: status %d", good, w.Code)
		}
	}
}
