package loadtest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func wholeReport() *Report {
	r := &Report{
		Program: Program{"1.2.3", "abc", "go1"}, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Machine:  Machine{OS: "linux", Arch: "amd64", CPUs: 2, Model: "A <fast> CPU", Memory: 8 << 30, Kernel: "6.1"},
		Cluster:  Cluster{Own: true, URLs: []string{"http://n1"}, Nodes: []Node{{Node: "n1", Version: "1.2.3", Role: "leader"}}, Settings: map[string]string{"log-level": "error"}, FileSystem: "ext4"},
		Settings: map[string]string{"rate": "10", "batch": "1"}, Notes: []string{"failover was left out"},
	}
	for _, s := range Scenarios {
		result := sound(s)
		result.Phases[0].measurements()[0].FirstFailure = `503 | no <leader>` + "\n" + `second line`
		result.Targets = judge(result)
		r.Results = append(r.Results, result)
	}
	return r
}

func TestJSONHoldsTheWholeReport(t *testing.T) {
	want := wholeReport()
	var b strings.Builder
	if err := want.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("the report comes back as\n%+v, want\n%+v", got, *want)
	}
}

func TestEveryFormTellsTheSame(t *testing.T) {
	for name, write := range map[string]func(*Report, io.Writer) error{
		"table": (*Report).WriteTable, "markdown": (*Report).WriteMarkdown, "page": (*Report).WritePage,
	} {
		r := wholeReport()
		var b strings.Builder
		if err := write(r, &b); err != nil {
			t.Fatal(err)
		}
		for _, want := range append([]string{
			"2 CPUs", "6.1", "1.2.3", "STEMEDB_METER_ENABLED=false", "--batch=1 --rate=10", "--log-level=error, else the defaults", "data on ext4", "failover was left out",
			"60000 claims acknowledged", "0 lost", signedAhead, "node1, the leader, was killed", "every target met", "writers alone", "at most 25 % in one of 2 windows", "1000/s asked",
		}, Scenarios...) {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the %s does not say %q", name, want)
			}
		}
		r.Results[1].Verification.Lost = 3
		r.Results[1].Targets = judge(r.Results[1])
		b.Reset()
		if err := write(r, &b); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"3 acknowledged claims are LOST", "MISSED"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("after a loss the %s does not say %q", name, want)
			}
		}
	}
}

func TestMarkdownTablesKeepTheirShape(t *testing.T) {
	var b strings.Builder
	if err := wholeReport().WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	bar := regexp.MustCompile(`(^|[^\\])\|`)
	columns := 0
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := len(bar.FindAllString(line, -1))
		if columns != 0 && n != columns {
			t.Errorf("a row of %d bars in a table of %d: %s", n, columns, line)
		}
		columns = n
	}
	if strings.Contains(b.String(), "<leader>") {
		t.Error("what a server says is taken for markup")
	}
}

var outside = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|@import|url\(|src=|href=`)

func TestThePageNeedsNothingElse(t *testing.T) {
	var b strings.Builder
	if err := wholeReport().WritePage(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if found := outside.FindString(page); found != "" {
		t.Errorf("the page loads something: %s", found)
	}
	if strings.Contains(page, "<leader>") || strings.Contains(page, "<fast>") {
		t.Error("what a server or a machine says is taken for markup")
	}
	drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	// For each measurement one over time; for each phase throughput and
	// percentiles; for each scenario memory and processors.
	measurements, phases := 0, 0
	for _, r := range wholeReport().Results {
		for _, p := range r.Phases {
			phases++
			measurements += len(p.measurements())
		}
	}
	if want := measurements + 2*phases + 2*len(Scenarios); len(drawings) != want {
		t.Errorf("%d drawings, want %d", len(drawings), want)
	}
	for _, svg := range drawings {
		if !strings.Contains(svg, "<polyline") || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("a drawing without a line, or with one to nowhere: %.200s", svg)
		}
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in %.200s", err, svg)
			}
		}
	}
}

func TestAnEmptyPlotSaysSo(t *testing.T) {
	for _, p := range []plot{{title: "t"}, {title: "t", lines: []line{{name: "none"}}}} {
		if svg := string(p.svg()); !strings.Contains(svg, "nothing was measured") {
			t.Errorf("%s", svg)
		}
	}
}

func TestPlotsPutPointsWhereTheyBelong(t *testing.T) {
	p := plot{toZero: true, lines: []line{{points: []point{{0, 0}, {10, 100}}}}}
	svg := string(p.svg())
	// The y axis goes five percent beyond the largest value.
	if !strings.Contains(svg, `points="70.0,200.0 844.0,36.2 "`) {
		t.Errorf("%s", svg)
	}
}

func TestTicksAreRound(t *testing.T) {
	var texts []string
	for _, k := range roundTicks(0, 470, 5) {
		texts = append(texts, k.text)
	}
	if got := strings.Join(texts, " "); got != "0 100 200 300 400" {
		t.Errorf("ticks %s", got)
	}
	texts = nil
	for _, k := range powerTicks(-0.4, 1.1) {
		texts = append(texts, k.text)
	}
	if got := strings.Join(texts, " "); got != "0.5 1 2 5 10" {
		t.Errorf("ticks %s", got)
	}
}

func TestProgressOverwritesItselfOnlyOnATerminal(t *testing.T) {
	for terminal, want := range map[bool]string{false: "long line\nshort\n", true: "\rlong line\rshort    "} {
		var b strings.Builder
		p := &progress{to: &b, every: time.Second, terminal: terminal}
		p.print("long line")
		p.print("short")
		if b.String() != want {
			t.Errorf("terminal %v: %q, want %q", terminal, b.String(), want)
		}
	}
}
