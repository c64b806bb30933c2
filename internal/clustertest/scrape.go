package clustertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Family is what a node says of one metric.
type Family struct {
	Type, Help string
	// Labels are the names of the labels of its series, ordered.
	Labels []string
}

// Scrape is one answer of a node's /metrics.
type Scrape struct {
	Text     string
	Families map[string]Family
	// Values are the values of the series, by name{label="value",...} with the
	// labels ordered; without braces where there are none. Histograms and summaries
	// have a series name_count and one name_sum.
	Values map[string]float64
}

// scrapeClient does not keep its connections, which would be counted.
var scrapeClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ScrapeMetrics reads a node's metrics, which must not need a key.
func ScrapeMetrics(t testing.TB, n *Node) Scrape {
	t.Helper()
	s, err := tryScrape(t.Context(), n)
	if err != nil {
		t.Fatalf("the metrics of %s: %v", n.Name, err)
	}
	return s
}

func tryScrape(ctx context.Context, n *Node) (Scrape, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/metrics", nil)
	if err != nil {
		return Scrape{}, err
	}
	answer, err := scrapeClient.Do(request)
	if err != nil {
		return Scrape{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return Scrape{}, err
	}
	if answer.StatusCode != http.StatusOK {
		return Scrape{}, fmt.Errorf("status %d: %s", answer.StatusCode, body)
	}
	return parseMetrics(string(body))
}

func parseMetrics(text string) (Scrape, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return Scrape{}, err
	}
	s := Scrape{Text: text, Families: map[string]Family{}, Values: map[string]float64{}}
	for name, f := range families {
		var names []string
		for _, m := range f.Metric {
			var pairs []string
			names = names[:0]
			for _, l := range m.Label {
				names = append(names, l.GetName())
				pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(pairs)
			labels := ""
			if len(pairs) > 0 {
				labels = "{" + strings.Join(pairs, ",") + "}"
			}
			switch {
			case m.Histogram != nil:
				s.Values[name+"_count"+labels], s.Values[name+"_sum"+labels] = float64(m.Histogram.GetSampleCount()), m.Histogram.GetSampleSum()
			case m.Summary != nil:
				s.Values[name+"_count"+labels], s.Values[name+"_sum"+labels] = float64(m.Summary.GetSampleCount()), m.Summary.GetSampleSum()
			case m.Counter != nil:
				s.Values[name+labels] = m.Counter.GetValue()
			case m.Gauge != nil:
				s.Values[name+labels] = m.Gauge.GetValue()
			}
		}
		slices.Sort(names)
		s.Families[name] = Family{Type: strings.ToLower(f.GetType().String()), Help: f.GetHelp(), Labels: slices.Clone(names)}
	}
	return s, nil
}
