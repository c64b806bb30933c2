package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// fetch asks the cluster and shows the answer.
func fetch[T any](a *app, cmd *cobra.Command, ask func(context.Context, *client.Client) (*T, error), table func(io.Writer, *T)) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	answer, err := ask(cmd.Context(), c)
	if err != nil {
		return err
	}
	return a.show(cmd, answer, func(w io.Writer) { table(w, answer) })
}

// show prints an answer: as JSON for programs, or by table for people.
func (a *app) show(cmd *cobra.Command, answer any, table func(w io.Writer)) error {
	out := cmd.OutOrStdout()
	if a.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(answer)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	table(w)
	return w.Flush()
}

func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, c)
	}
	fmt.Fprintln(w)
}

// brief is the part of a hash that tells it from its neighbours.
func brief(h assertion.Hash) string { return h.String()[:12] }

func day(unix uint64) string { return time.Unix(int64(unix), 0).UTC().Format(time.DateOnly) }

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// shorten keeps a table readable.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func claimTable(w io.Writer, claims []v1.Assertion) {
	row(w, "HASH", "SUBJECT", "PREDICATE", "OBJECT", "CONFIDENCE", "CLASS", "STAGE", "DATE", "SIGNERS")
	for i := range claims {
		c := &claims[i]
		signers := fmt.Sprint(len(c.Signatures))
		if c.SignatureVersion == assertion.SignatureV1 {
			signers += " (v1: object not signed)"
		}
		row(w, brief(c.Hash), shorten(c.Subject, 40), shorten(c.Predicate, 40), shorten(c.Object.String(), 40), c.Confidence, c.SourceClass, c.Lifecycle, day(c.Timestamp), signers)
	}
}
