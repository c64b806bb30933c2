package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemedb/stemedb/api/export"
	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// story writes what disagrees, is voted on, moved, superseded, retracted and
// joined, and returns the questions that it bears on.
func story(t *testing.T, db *client.Client) []assertion.Question {
	t.Helper()
	const at = 1_700_000_000
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	source := assertion.Source{URI: "fda://label", Title: "label", Content: "the label says 100 mg <&>", SourceClass: assertion.Regulatory}
	must(db.RegisterSource(t.Context(), &source))
	edition := &assertion.Epoch{Name: "2025", Timestamp: at}
	edition.Sign(signer(1))
	must(db.Epoch(t.Context(), edition))
	old := edition.Hash()
	next := &assertion.Epoch{Name: "2026", Supersedes: &old, SupersessionType: assertion.Replaces, Timestamp: at}
	next.Sign(signer(1))
	must(db.Epoch(t.Context(), next))
	newer := next.Hash()
	claimed := func(by byte, value float64, change func(*assertion.Assertion)) *assertion.Assertion {
		a := &assertion.Assertion{Subject: "Aspirin", Predicate: "dose", Object: assertion.Number(value), Confidence: 0.8, SourceClass: assertion.Clinical,
			SourceHash: assertion.Hash{by}, Timestamp: at}
		if change != nil {
			change(a)
		}
		a.Sign(signer(by), at)
		must(db.Assert(t.Context(), a))
		return a
	}
	first := claimed(1, 100, func(a *assertion.Assertion) { a.Epoch = &newer })
	second := claimed(2, 300, func(a *assertion.Assertion) { a.Epoch = &old })
	third := claimed(3, 500, nil)
	fourth := claimed(4, 700, func(a *assertion.Assertion) { a.SourceClass = assertion.Anecdotal })
	claimed(5, 900, func(a *assertion.Assertion) { a.Subject = "Acetylsalicylic acid" })
	claimed(7, 1, func(a *assertion.Assertion) { a.SourceHash = assertion.Hash{7, 7} })
	claimed(6, 101, func(a *assertion.Assertion) { a.DerivedFrom = []assertion.Hash{first.ContentHash()} })
	again := *first // agrees later, and owns nothing
	again.Signatures = nil
	again.Sign(signer(9), at)
	must(db.Assert(t.Context(), &again))
	transition := func(by byte, of *assertion.Assertion, to assertion.Lifecycle) {
		parent := of.ContentHash()
		a := *of
		a.Signatures, a.ParentHash, a.Lifecycle = nil, &parent, to
		a.Sign(signer(by), at)
		must(db.Assert(t.Context(), &a))
	}
	transition(1, first, assertion.Approved)
	transition(8, third, assertion.Rejected) // by the administrator's key
	for i, weight := range []float64{1, 0.25, 0.5} {
		v := &assertion.Vote{AssertionHash: second.ContentHash(), Weight: weight, Timestamp: at + uint64(i)}
		v.Sign(signer(byte(1 + i%2)))
		must(db.Vote(t.Context(), v))
	}
	by := first.ContentHash()
	s := &assertion.Supersession{Superseded: fourth.ContentHash(), By: &by, Type: assertion.Replaces, Reason: "a better trial", Timestamp: at}
	s.Sign(signer(4))
	must(db.Supersede(t.Context(), s))
	must(db.SetSourceStatus(t.Context(), &assertion.SourceStatus{Source: assertion.Hash{7, 7}, Retracted: true, Reason: "fabricated"}))
	must(db.SetAlias(t.Context(), &assertion.Alias{Name: "Acetylsalicylic acid", Canonical: "Aspirin"}))
	word := &assertion.Endorsement{Endorsed: assertion.AgentOf(signer(2)), Weight: 1, Timestamp: at}
	word.Sign(signer(1))
	must(db.Endorse(t.Context(), word))
	must(db.SetSeeds(t.Context(), &assertion.Seeds{Agents: []assertion.AgentID{assertion.AgentOf(signer(1))}}))
	must(db.SetGold(t.Context(), &assertion.Label{Subject: "Aspirin", Predicate: "dose", Object: assertion.Number(100)}))
	return []assertion.Question{{Subject: "Aspirin", Predicate: "dose"}, {Subject: "Acetylsalicylic acid", Predicate: "dose"}, {Subject: "subject-1", Predicate: "value"}}
}

// timeless is an answer without what depends on the log that it came through.
func timeless(t *testing.T, answer any) any {
	t.Helper()
	raw, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range []string{"index", "log_index", "committed_at", "authority", "decision"} { // which says the log index in words
				delete(v, name)
			}
			for _, inner := range v {
				strip(inner)
			}
		case []any:
			for _, inner := range v {
				strip(inner)
			}
		}
	}
	strip(out)
	return out
}

// What one cluster exports another one takes in: the same ids, answers and
// content digest, also if the import is killed on its way and begun again.
func TestExportIntoAnotherCluster(t *testing.T) {
	settings := map[string]string{"auth-enabled": "true", "root-api-key": rootSecret, "meter-enabled": "false", "admission-enabled": "false"} // the last import is a writer's
	from, to := Start(t, Options{Settings: settings}), Start(t, Options{Nodes: 1, Name: "other", Settings: settings})
	for _, c := range []*Cluster{from, to} {
		for _, n := range c.Nodes {
			c.WaitFor(n.Name+" knows the root key", func() bool { _, err := as(t, rootSecret, n).APIKeys(t.Context()); return err == nil })
		}
	}
	source, target := from.Client(from.Nodes...), to.Client(to.Nodes...)
	questions := story(t, source)
	const bulk = 1500
	from.Write(0, bulk)
	file := filepath.Join(t.TempDir(), "claims.ndjson")
	exported, exit := stemectl(from, "export", file, "-o", "json")
	if exit != 0 {
		t.Fatalf("export: %d %s", exit, exported)
	}
	if output, exit := stemectl(from, "verify", file); exit != 0 {
		t.Fatalf("verify: %d %s", exit, output)
	}

	// Killed on its way, whatever it has sent is there.
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	state := file + ".state"
	arguments := []string{"import", file, "--batch", "20", "--resume", state, "--url", to.Nodes[0].URL}
	cmd := exec.CommandContext(ctx, Binary(t, "stemectl"), arguments...)
	cmd.Env = append(os.Environ(), "STEMEDB_API_KEY="+rootSecret)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	to.WaitFor("some of it has arrived", func() bool {
		h, err := target.Health(t.Context(), 0)
		return err == nil && h.AssertionsCount > 100
	})
	kill()
	var failed *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &failed) && !errors.Is(err, context.Canceled) { // Wait says so if it had ended by itself
		t.Fatal(err)
	}
	output, exit := stemectl(to, "import", file, "--resume", state, "-o", "json")
	if exit != 0 {
		t.Fatalf("import: %d %s", exit, output)
	}
	t.Logf("the second import: %s", output)
	again, exit := stemectl(to, "import", file, "-o", "json")
	if exit != 0 || !strings.Contains(again, `"created": 0`) || !strings.Contains(again, `"cosigned": 0`) {
		t.Errorf("importing it once more: %d %s", exit, again)
	}

	// The same content has the same digest, ids and signatures.
	back := file + ".back"
	if output, exit := stemectl(to, "export", back); exit != 0 {
		t.Fatalf("export of what was imported: %d %s", exit, output)
	}
	there, here := records(t, file), records(t, back)
	if there.digest != here.digest {
		t.Errorf("content digests %s and %s", there.digest, here.digest)
	}
	for record, n := range there.records {
		if here.records[record] != n {
			t.Errorf("%d times there, %d times here: %s", n, here.records[record], record)
		}
	}
	if len(here.records) != len(there.records) {
		t.Errorf("%d records there, %d here", len(there.records), len(here.records))
	}
	// And the answers are the same.
	const at = uint64(1_710_000_000)
	moment := at
	for _, question := range questions {
		q := client.Query{Subject: question.Subject, Predicate: question.Predicate, AsOf: &moment}
		for _, lens := range []string{"recency", "consensus", "confidence", "authority", "votes", "epoch"} {
			var answers [2]any
			for i, db := range []*client.Client{source, target} {
				r, err := db.Resolve(t.Context(), lens, q)
				if err != nil {
					t.Fatal(err)
				}
				answers[i] = timeless(t, r)
			}
			if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
				t.Errorf("%s by %s (-source +target):\n%s", question, lens, diff)
			}
		}
		var answers [2]any
		for i, db := range []*client.Client{source, target} {
			skeptic, err := db.Skeptic(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			layered, err := db.Layered(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			answers[i] = timeless(t, []any{skeptic, layered})
		}
		if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
			t.Errorf("%s by skeptic and layered (-source +target):\n%s", question, diff)
		}
	}
	// Who agreed later owns nothing here either.
	var cosigned *assertion.Assertion
	for _, r := range there.claims {
		if r.Kind == assertion.KindCosignature {
			cosigned, _ = r.Entry.(*assertion.Assertion)
		}
	}
	s := &assertion.Supersession{Superseded: cosigned.ContentHash(), Type: assertion.Retracts, Timestamp: at}
	s.Sign(signer(9))
	made := to.newKey(target, v1.KeyRequest{Role: assertion.RoleWrite})
	writer := as(t, made.Secret, to.Nodes[0])
	to.WaitFor("the writer's key is known", func() bool { _, err := writer.Lenses(t.Context()); return err == nil })
	if _, err := writer.Supersede(t.Context(), s); code(t, err) != v1.CodeNotOwner {
		t.Errorf("a co-signer retracts what is not its own: %v", err)
	}
	// Without the administrator's key what only an administrator may do is refused,
	// line by line.
	cmd = exec.CommandContext(t.Context(), Binary(t, "stemectl"), "import", file, "--url", to.Nodes[0].URL)
	cmd.Env = append(os.Environ(), "STEMEDB_API_KEY="+made.Secret)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 6 || !strings.Contains(string(out), "forbidden") {
		t.Errorf("import by a writer: %v %s", err, out)
	}
}

// content is what a file says, and how often.
type content struct {
	digest  assertion.Hash
	records map[string]int
	claims  []export.Record
}

func records(t *testing.T, path string) content {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out := content{records: map[string]int{}}
	report, err := export.Read(in, export.Options{Each: func(records []export.Record, _ int) error {
		for _, r := range records {
			raw, err := json.Marshal(r.Entry)
			if err != nil {
				return err
			}
			if r.Kind == assertion.KindAssertion || r.Kind == assertion.KindCosignature {
				out.claims = append(out.claims, r)
			}
			out.records[fmt.Sprint(r.Kind, " ", r.Hash, " ", string(raw))]++
		}
		return nil
	}})
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	out.digest = report.Trailer.Digest
	return out
}
