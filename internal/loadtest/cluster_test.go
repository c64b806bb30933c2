package loadtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
)

// tiny is a load that a test can bear.
func tiny(t *testing.T, server string, scenarios ...string) Options {
	t.Helper()
	o := Defaults()
	o.Server, o.Dir, o.Scenarios = server, t.TempDir(), scenarios
	o.Duration, o.Assertions, o.Readers, o.Agents, o.ValueBytes = time.Second, 120, 3, 2, 32
	return o
}

// held fails the test unless a scenario lost nothing and no request failed. What
// it took in time is none of a test's business.
func held(t *testing.T, r *Result) {
	t.Helper()
	v := r.Verification
	if v.Lost != 0 || v.Unread != 0 || v.Acknowledged == 0 || v.FirstFault != "" {
		t.Errorf("%s: %s %s", r.Scenario, v.text(), v.FirstFault)
	}
	for _, p := range r.Phases {
		for _, m := range p.measurements() {
			if r.Scenario == Baseline && m.Kind == KindRead && m.Operations == 0 {
				continue // the writers had ended before
			}
			if m.Failed != 0 || m.Operations == 0 || m.P50 <= 0 || m.Max < m.P99 || len(m.Series) == 0 || m.Unsent != 0 {
				t.Errorf("%s %s: %d %s operations, %d unsent, %d failed: %s", r.Scenario, p.Name, m.Operations, m.Kind, m.Unsent, m.Failed, m.FirstFailure)
			}
		}
	}
	for _, m := range r.Memory {
		if len(m.Samples) == 0 || m.Samples[0].Bytes < 1<<20 {
			t.Errorf("%s: memory of %s: %+v", r.Scenario, m.URL, m)
		}
	}
}

func TestOnRealNodes(t *testing.T) {
	server, err := localcluster.Build(t.Context(), "cmd/stemedb")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("every scenario", func(t *testing.T) { runEveryScenario(t, server) })
	t.Run("keys and quotas", func(t *testing.T) { runWithKeysAndQuotas(t, server) })
}

func runEveryScenario(t *testing.T, server string) {
	t.Helper()
	o := tiny(t, server, All)
	o.Batch, o.Rate, o.ReadRate, o.Consistency = 3, Unset, 60, "bounded"
	var lines strings.Builder
	o.Progress, o.ProgressEvery = &lines, 100*time.Millisecond
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, lines.String())
	}
	if len(report.Results) != len(Scenarios) || !report.Cluster.Own || report.Cluster.Metering || len(report.Cluster.Nodes) != ownNodes {
		t.Fatalf("%d results on %+v", len(report.Results), report.Cluster)
	}
	if !strings.Contains(lines.String(), "STEMEDB_METER_ENABLED=false") || !strings.Contains(lines.String(), "GB free") {
		t.Errorf("the meter setting and the free disk are not printed:\n%s", lines.String())
	}
	for i, r := range report.Results {
		if r.Scenario != Scenarios[i] {
			t.Errorf("scenario %d is %s", i, r.Scenario)
		}
		held(t, r)
		switch r.Scenario {
		case Baseline:
			if r.Verification.Acknowledged != 120 || r.Signing != signedBefore {
				t.Errorf("baseline: %s, signed %s", r.Verification.text(), r.Signing)
			}
		case Concurrent:
			if len(r.Phases) != 3 || len(r.Phases[2].measurements()) != 2 {
				t.Errorf("concurrent: %d phases", len(r.Phases))
			}
		case Mixed:
			if w, reads := r.Phases[0].Writes.Operations, r.Phases[0].Reads.Operations; reads > w*mixOf || reads < w*(mixOf-2) {
				t.Errorf("mixed: %d writes, %d reads", w, reads)
			}
		case Failover:
			v := r.Verification
			if len(r.Events) != 1 || !strings.Contains(r.Events[0].What, "killed") || !v.EveryNode || v.Reads != ownNodes*v.Acknowledged {
				t.Errorf("failover: %+v, %s", r.Events, v.text())
			}
		}
	}
}

// makeKey waits for the first admin key, which comes a moment after the node.
func makeKey(t *testing.T, admin *client.Client) *v1.KeySecret {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		key, err := admin.CreateAPIKey(ctx, v1.KeyRequest{Name: "load", Role: assertion.RoleWrite})
		if err == nil {
			return key
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// With quotas on, sustained is refused; agents that are new prove their work
// before the clock starts.
func runWithKeysAndQuotas(t *testing.T, server string) {
	t.Helper()
	ctx := t.Context()
	const root = "0f5a6c1be2d94387a1c0de5b7f93e8126d4b0a97c3f1e85d2b6a7094fc31e8da"
	cluster, err := localcluster.TemporaryOf(ctx, server, t.TempDir(), 1, map[string]string{"auth-enabled": "true", "root-api-key": root})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	admin, err := client.New(cluster.URLs(), client.WithAPIKey(root))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	key := makeKey(t, admin)
	o := tiny(t, server, Baseline, Sustained)
	o.URLs, o.APIKey = cluster.URLs(), key.Secret
	o.Readers = Unset // they would use the key's quota up
	report, err := Run(ctx, o)
	if !errors.Is(err, ErrMetered) || !strings.Contains(err.Error(), "STEMEDB_METER_ENABLED=false") || !report.Cluster.Metering || len(report.Results) != 0 {
		t.Fatalf("sustained on a cluster with quotas: %v, %d results", err, len(report.Results))
	}
	o.Metered = true
	report, err = Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		held(t, r)
	}
	o.APIKey, o.Scenarios = "", []string{Baseline}
	if _, err := Run(ctx, o); !errors.Is(err, client.Code(v1.CodeAPIKeyMissing)) {
		t.Errorf("without a key: %v", err)
	}
}
