package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/export"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// exported reads an export that must hold.
func (f *fixture) exported(query string) (*export.Report, []export.Record) {
	f.t.Helper()
	answer := f.get("/v1/export" + query)
	if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != v1.MediaNDJSON {
		f.t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	var records []export.Record
	report, err := export.Read(bytes.NewReader(answer.Body.Bytes()), export.Options{Each: func(r []export.Record, _ int) error {
		records = append(records, r...)
		return nil
	}})
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		f.t.Fatalf("%v\n%s", err, answer.Body)
	}
	return report, records
}

// An export has the state, not the history: what counts of what can be replaced,
// everything that is signed, and nothing that the defence hides or that hangs on
// it.
func TestExportIsTheState(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	everyKindOn(f)
	gold := func(object float64, removed bool) *assertion.Label {
		return &assertion.Label{Subject: "Semaglutide", Predicate: "nausea_rate", Object: assertion.Number(object), Removed: removed}
	}
	hidden := signed(saying("hidden"), "mallory")
	f.record(&assertion.Admitted{Entry: hidden, Admission: assertion.Admission{Quarantine: true, Findings: []assertion.Finding{{Code: "pattern"}}}},
		vote("x", hidden.ContentHash(), 1))
	parent, stage := hidden.ContentHash(), saying("hidden")
	stage.ParentHash, stage.Lifecycle = &parent, assertion.Approved
	moved := signed(stage, "mallory")
	f.record(moved, vote("x", moved.ContentHash(), 1),
		gold(1, false), gold(2, false), &assertion.Seeds{}, &assertion.Seeds{Agents: []assertion.AgentID{assertion.AgentOf(key("x"))}},
		&assertion.Source{Hash: assertion.Hash{1}, Title: "t1"}, &assertion.Source{Hash: assertion.Hash{1}, Title: "t2"}, &assertion.Alias{Name: "a", Canonical: "b", Removed: true}, &assertion.Alias{Name: "c", Canonical: "d"},
		&assertion.SourceStatus{Source: assertion.Hash{1}, Retracted: true, Reason: "r"}, &assertion.SourceStatus{Source: assertion.Hash{1}, Reason: "mended"})
	report, records := f.exported("")
	want := map[string]int{"assertion": 8, "cosignature": 1, "source": 2, "epoch": 1, "alias": 1, "source_status": 1, "supersession": 1, "vote": 1, "endorsement": 1,
		"label": 1, "seeds": 1, "decision": 1}
	if diff := cmp.Diff(want, report.Trailer.Records); diff != "" {
		t.Error(diff)
	}
	if report.Header.Index != f.store.entries || report.Header.Selection != nil || report.Header.Software != "stemedb test" {
		t.Errorf("%+v", report.Header)
	}
	for _, r := range records {
		switch e := r.Entry.(type) {
		case *assertion.Label:
			if e.Object != assertion.Number(2) {
				t.Errorf("an old label: %+v", e)
			}
		case *assertion.Seeds:
			if len(e.Agents) != 1 {
				t.Errorf("old seeds: %+v", e)
			}
		case *assertion.Source:
			if e.Title == "t1" {
				t.Errorf("an old description: %+v", e)
			}
		case *assertion.Assertion:
			if e.Object == hidden.Object {
				t.Errorf("what the defence hides, or a transition of it: %+v", e)
			}
		}
	}
}

// The digest is that of the content: not of the log, its order, or who signed
// first.
func TestContentDigestIsThatOfTheContent(t *testing.T) {
	a, b := newFixture(t), newFixture(t)
	nausea(a)
	everyKindOn(a)
	a.put(signed(saying("both"), "p"))
	a.put(signed(saying("both"), "q"))
	_, records := a.exported("")
	b.put(signed(claim(), "x"))              // who retracts it must own it
	for i := len(records) - 1; i >= 0; i-- { // claims in the other order, so that another signs first
		if c, ok := records[i].Entry.(*assertion.Assertion); ok {
			b.record(c)
		}
	}
	for _, r := range records {
		if _, ok := r.Entry.(*assertion.Assertion); !ok && r.Kind != assertion.KindDecision {
			b.record(r.Entry)
		}
	}
	before, _ := a.exported("")
	after, _ := b.exported("")
	if before.Trailer.Digest != after.Trailer.Digest {
		t.Errorf("digests %s and %s", before.Trailer.Digest, after.Trailer.Digest)
	}
	b.record(vote("y", claim().ContentHash(), 1))
	if more, _ := b.exported(""); more.Trailer.Digest == after.Trailer.Digest {
		t.Error("a vote more has the same digest")
	}
}

func TestExportOfAPart(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	everyKindOn(f)
	since := f.store.entries
	other := signed(claim(func(a *assertion.Assertion) { a.Subject, a.SourceHash = "Metformin", assertion.Hash{77} }), "x")
	f.put(other)
	f.record(&assertion.Source{Hash: assertion.Hash{77}, Title: "the other"}, vote("y", other.ContentHash(), 1), &assertion.Alias{Name: "Glucophage", Canonical: "Metformin"},
		&assertion.SourceStatus{Source: assertion.Hash{77}, Retracted: true, Reason: "r"})
	for query, want := range map[string]map[string]int{
		"?subject=Metf*": {"assertion": 1, "source": 1, "epoch": 1, "alias": 1, "source_status": 1, "vote": 1},
		"?subject=Metformin&predicate=nausea_rate": {"assertion": 1, "source": 1, "epoch": 1, "alias": 1, "source_status": 1, "vote": 1},
		"?subject=nobody":                          {"epoch": 1},
		fmt.Sprint("?since=", since):               {"assertion": 1, "source": 1, "alias": 1, "source_status": 1, "vote": 1},
	} {
		report, _ := f.exported(query)
		if diff := cmp.Diff(want, report.Trailer.Records); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
		if report.Header.Selection == nil {
			t.Errorf("%s: the header does not say that it is a part", query)
		}
	}
	for query, code := range map[string]string{"?since=x": v1.CodeInvalidParameter, "?subject=": v1.CodeInvalidParameter, "?lens=recency": v1.CodeUnknownParameter} {
		refused(t, f.get("/v1/export"+query), http.StatusBadRequest, code)
	}
}

// What breaks off ends without a trailer, so that nobody takes it for whole.
func TestExportThatBreaksOff(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	f.store.feedErr = api.ErrFailed
	answer := f.get("/v1/export")
	if answer.Code != http.StatusOK || strings.Contains(answer.Body.String(), `"end":true`) {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if !strings.Contains(f.log.String(), "an export ended before its end") {
		t.Errorf("the log: %s", f.log)
	}
}

// A node serves two exports at once, and another one when they have ended.
func TestExportsAtOnce(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	arrived, leave := make(chan struct{}, 1000), make(chan struct{})
	f.store.inFeed = func() {
		arrived <- struct{}{}
		<-leave
	}
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			if answer := f.get("/v1/export"); !strings.Contains(answer.Body.String(), `"end":true`) {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
	<-arrived
	<-arrived
	refused(t, f.get("/v1/export"), http.StatusServiceUnavailable, v1.CodeOverloaded)
	close(leave)
	running.Wait()
	f.exported("")
}

// What is written while an export runs is not in it.
func TestExportIsOfOneState(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	before, _ := f.exported("")
	written := 0
	f.store.inFeed = func() {
		written++
		other := saying(fmt.Sprint(written))
		f.record(signed(other, "x"), vote("x", other.ContentHash(), 1))
	}
	during, _ := f.exported("")
	if f.store.inFeed = nil; written == 0 || fmt.Sprint(during.Trailer) != fmt.Sprint(before.Trailer) {
		t.Errorf("%d writes; %+v, was %+v", written, during.Trailer, before.Trailer)
	}
	if after, _ := f.exported(""); after.Trailer.Records["vote"] != written {
		t.Errorf("%+v after %d writes", after.Trailer, written)
	}
}
