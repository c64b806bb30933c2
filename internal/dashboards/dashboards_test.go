package dashboards_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/clustertest"
	"github.com/stemedb/stemedb/internal/dashboards"
)

const (
	folder   = "../../docs/grafana"
	rules    = "../../deploy/prometheus/rules.yml"
	ruleTest = "../../deploy/prometheus/rules_test.yml"
)

// shape is how many rows and panels a dashboard has.
var shape = map[string][2]int{"stemedb-overview.json": {4, 12}, "stemedb-cluster.json": {5, 30}}

func TestSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	for name, want := range shape {
		path := filepath.Join(folder, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if fault := schemaFault(raw); fault != "" {
			t.Errorf("%s: %s", name, fault)
		}
		for _, broken := range [][2]string{{`"fieldConfig"`, `"fieldConf"`}, {`"expr"`, `"expression"`}, {`"refId": "A"`, `"refId": 1`}} {
			if schemaFault(bytes.Replace(raw, []byte(broken[0]), []byte(broken[1]), 1)) == "" {
				t.Errorf("%s with %s for %s passes", name, broken[1], broken[0])
			}
		}
		panels, err := dashboards.Panels(path)
		if err != nil {
			t.Fatal(err)
		}
		var got [2]int
		for _, p := range panels {
			if p.Type == "row" {
				got[0]++
				continue
			}
			got[1]++
			if len(p.Targets) == 0 {
				t.Errorf("%s: panel %q asks nothing", name, p.Title)
			}
		}
		if got != want {
			t.Errorf("%s has %d rows and %d panels, want %v", name, got[0], got[1], want)
		}
		overlaps(t, name, raw)
	}
}

// schemaFault is what Grafana's own types have against a dashboard. What is valid
// may come back as an error without a word.
func schemaFault(raw []byte) string {
	var d dashboard.Dashboard //nolint:staticcheck // the classic schema, which Grafana 10 reads
	if err := d.UnmarshalJSONStrict(raw); err != nil && err.Error() != "" {
		return err.Error()
	}
	if err := d.Validate(); err != nil {
		return err.Error()
	}
	return ""
}

// overlaps finds panels that lie on each other or outside the grid, or share an
// id.
func overlaps(t *testing.T, name string, raw []byte) {
	t.Helper()
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	for i, p := range d.Panels {
		a := p.GridPos
		if a.X < 0 || a.X+a.W > 24 || a.W < 1 || a.H < 1 {
			t.Errorf("%s: panel %q is at %+v", name, p.Title, a)
		}
		for _, other := range d.Panels[:i] {
			b := other.GridPos
			if p.ID == other.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s: panels %q and %q collide", name, p.Title, other.Title)
			}
		}
	}
}

// series are the labels of each series name on /metrics.
type series map[string]map[string]bool

// add takes over what a node shows.
func (s series) add(t *testing.T, url string) {
	t.Helper()
	response, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range families {
		for _, m := range f.Metric {
			labels := map[string]bool{"job": true, "instance": true} // Prometheus's own
			for _, l := range m.Label {
				labels[l.GetName()] = true
			}
			s[name] = labels
			if m.Histogram != nil || m.Summary != nil {
				s[name+"_sum"], s[name+"_count"] = labels, labels
			}
			if m.Histogram != nil {
				bucket := map[string]bool{"le": true}
				for l := range labels {
					bucket[l] = true
				}
				s[name+"_bucket"] = bucket
			}
		}
	}
}

// check reports what an expression, or a legend, names and no node has.
func (s series) check(t *testing.T, where, expr, legend string) {
	t.Helper()
	parsed, err := metricsql.Parse(dashboards.Fill(expr))
	if err != nil {
		t.Errorf("%s: %s: %v", where, expr, err)
		return
	}
	all := map[string]bool{}
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			for label := range s.selector(t, where, e) {
				all[label] = true
			}
		case *metricsql.AggrFuncExpr:
			below := map[string]bool{}
			for _, arg := range e.Args {
				metricsql.VisitAll(arg, func(e metricsql.Expr) {
					if m, is := e.(*metricsql.MetricExpr); is {
						for label := range s[nameOf(m)] {
							below[label] = true
						}
					}
				})
			}
			for _, label := range e.Modifier.Args {
				if !below[label] {
					t.Errorf("%s: %s: nothing below has the label %s", where, expr, label)
				}
			}
		}
	})
	for _, m := range regexp.MustCompile(`\{\{(.*?)\}\}`).FindAllStringSubmatch(legend, -1) {
		if !all[m[1]] {
			t.Errorf("%s: the legend %s names a label that no series has", where, legend)
		}
	}
}

func nameOf(e *metricsql.MetricExpr) string {
	for _, filters := range e.LabelFilterss {
		for _, f := range filters {
			if f.Label == "__name__" {
				return f.Value
			}
		}
	}
	return ""
}

func (s series) selector(t *testing.T, where string, e *metricsql.MetricExpr) map[string]bool {
	t.Helper()
	name := nameOf(e)
	labels := s[name]
	if labels == nil {
		t.Errorf("%s: no node has the metric %q", where, name)
		return nil
	}
	for _, filters := range e.LabelFilterss {
		for _, f := range filters {
			if f.Label != "__name__" && !labels[f.Label] {
				t.Errorf("%s: %s has no label %s", where, name, f.Label)
			}
		}
	}
	return labels
}

type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Annotations map[string]string
		}
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Every metric and label that a panel or an alert names exists on the nodes of a
// real cluster.
func TestQueriesNameWhatNodesShow(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{Settings: clustertest.NewNodeCertificates(t, 24*time.Hour).Settings()})
	db := c.Client()
	key, err := client.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 { // through every node
		claim, err := client.NewClaim("Panel", "seen", assertion.Number(float64(i))).Source(fmt.Sprint(i), assertion.Observational).Confidence(0.5).Sign(key)
		if err == nil {
			_, err = db.Assert(t.Context(), claim)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.WaitEqual()
	found := series{"up": {"job": true, "instance": true}}
	for _, n := range c.Nodes {
		found.add(t, n.URL)
	}
	for name := range shape {
		panels, err := dashboards.Panels(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range panels {
			for _, target := range p.Targets {
				found.check(t, name+", "+p.Title, target.Expr, target.LegendFormat)
			}
		}
	}
	var file ruleFile
	readYAML(t, rules, &file)
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			found.check(t, r.Alert, r.Expr, "")
		}
	}
}

// Every alert has a runbook and a unit test, and every runbook an alert.
func TestEveryAlertHasARunbookAndATest(t *testing.T) {
	var file ruleFile
	readYAML(t, rules, &file)
	var cases struct {
		Tests []struct {
			Cases []struct {
				Alert  string `yaml:"alertname"`
				Expect []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, ruleTest, &cases)
	fires := map[string]bool{}
	for _, test := range cases.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Expect) > 0
		}
	}
	index, err := os.ReadFile("../../docs/runbooks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			if !fires[r.Alert] {
				t.Errorf("%s: no unit test expects it", r.Alert)
			}
			page := r.Annotations["runbook"]
			text, err := os.ReadFile("../../" + page)
			if err != nil {
				t.Errorf("%s: %v", r.Alert, err)
				continue
			}
			pages = append(pages, filepath.Base(page))
			if !strings.Contains(string(text), r.Alert) || !strings.Contains(string(index), r.Alert) {
				t.Errorf("%s is not named in %s and docs/runbooks/README.md", r.Alert, page)
			}
			for _, section := range []string{"## What it means", "## How to look", "## What to do"} {
				if !strings.Contains(string(text), section) {
					t.Errorf("%s has no section %q", page, section)
				}
			}
		}
	}
	all, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range all {
		base := filepath.Base(page)
		led := base == "README.md" || slices.Contains(pages, base)
		for _, from := range pages { // or the page of an alert leads on to it
			text, err := os.ReadFile("../../docs/runbooks/" + from)
			if err != nil {
				t.Fatal(err)
			}
			led = led || strings.Contains(string(text), "("+base+")")
		}
		if !led {
			t.Errorf("no alert leads to %s", page)
		}
	}
}
