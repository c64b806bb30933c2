// Command panelcheck puts the query of every panel of the given dashboards to a
// Prometheus, and fails if one has no answer.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/stemedb/stemedb/internal/dashboards"
)

func main() {
	base := flag.String("prometheus", "", "URL of the Prometheus")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	empty, queries := 0, 0
	for _, path := range flag.Args() {
		panels, err := dashboards.Panels(path)
		if err != nil {
			fail(err)
		}
		for _, p := range panels {
			for _, t := range p.Targets {
				queries++
				n, err := ask(ctx, *base, dashboards.Fill(t.Expr))
				if err != nil || n == 0 {
					fmt.Fprintf(os.Stderr, "%s, panel %q: %s: no number in the answer (%v)\n", path, p.Title, t.Expr, err)
					empty++
				}
			}
		}
	}
	if empty > 0 || queries == 0 {
		fail(fmt.Errorf("%d of %d queries have no answer", empty, queries))
	}
	fmt.Printf("%d queries, all answered\n", queries)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "panelcheck:", err)
	os.Exit(1)
}

// ask returns how many series of the answer are finite numbers.
func ask(ctx context.Context, base, expr string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end below
	var answer struct {
		Error string
		Data  struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, fmt.Errorf("%s", answer.Error)
	}
	finite := 0
	for _, series := range answer.Data.Result {
		text, _ := series.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			finite++
		}
	}
	return finite, nil
}
