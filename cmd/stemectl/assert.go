package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/unixtime"
)

// claimFlags describe one claim on the command line.
type claimFlags struct {
	subject, predicate, text, reference string
	number                              float64
	boolean                             bool
	confidence                          float64
	class, source, metadata, lifecycle  string
	parent                              string
	derived                             []string
	timestamp                           string
	file                                string
}

func (f *claimFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.subject, "subject", "", "what the claim is about")
	flags.StringVar(&f.predicate, "predicate", "", "which property of it")
	flags.StringVar(&f.text, "text", "", "the value, a text")
	flags.Float64Var(&f.number, "number", 0, "the value, a number")
	flags.BoolVar(&f.boolean, "boolean", false, "the value, true or false")
	flags.StringVar(&f.reference, "reference", "", "the value, the name of an entity")
	flags.Float64Var(&f.confidence, "confidence", 1, "how sure the author is, 0 to 1")
	flags.StringVar(&f.class, "class", "Anecdotal", "source class: Regulatory, Clinical, Observational, Expert, Community, Anecdotal")
	flags.StringVar(&f.source, "source", "", "name of the source; its BLAKE3 hash is the source_hash")
	flags.StringVar(&f.metadata, "metadata", "", "JSON object that describes the source")
	flags.StringVar(&f.lifecycle, "lifecycle", "Proposed", "stage: Proposed, UnderReview, Approved, Deprecated, Rejected")
	flags.StringVar(&f.parent, "parent", "", "hash of the claim whose stage this one changes")
	flags.StringSliceVar(&f.derived, "derived-from", nil, "hashes of the claims that this one was concluded from")
	flags.StringVar(&f.timestamp, "timestamp", "", "unix seconds or RFC 3339 (default: now)")
	flags.StringVar(&f.file, "file", "", "take the claim from a JSON file instead, - for standard input")
	cmd.MarkFlagsOneRequired("text", "number", "boolean", "reference", "file")
	cmd.MarkFlagsMutuallyExclusive("text", "number", "boolean", "reference", "file")
}

// claim makes the unsigned, normalised claim that the flags describe.
func (f *claimFlags) claim(cmd *cobra.Command) (*assertion.Assertion, error) {
	if f.file != "" {
		return f.fromFile(cmd)
	}
	if err := required(f.subject != "" && f.predicate != "" && f.source != "", "a claim needs --subject, --predicate and --source"); err != nil {
		return nil, err
	}
	var object assertion.ObjectValue
	switch flags := cmd.Flags(); {
	case flags.Changed("number"):
		object = assertion.Number(f.number)
	case flags.Changed("boolean"):
		object = assertion.Boolean(f.boolean)
	case flags.Changed("reference"):
		object = assertion.Reference(f.reference)
	default:
		object = assertion.Text(f.text)
	}
	class, err := assertion.ParseSourceClass(f.class)
	if err != nil {
		return nil, &usageError{err}
	}
	stage, err := assertion.ParseLifecycle(f.lifecycle)
	if err != nil {
		return nil, &usageError{err}
	}
	b := client.NewClaim(f.subject, f.predicate, object).Source(f.source, class).Confidence(f.confidence).Lifecycle(stage)
	if f.metadata != "" {
		b.Metadata(json.RawMessage(f.metadata))
	}
	if f.parent != "" {
		h, err := assertion.ParseHash(f.parent)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--parent: %w", err)}
		}
		b.Parent(h)
	}
	for _, text := range f.derived {
		h, err := assertion.ParseHash(text)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--derived-from: %w", err)}
		}
		b.DerivedFrom(h)
	}
	if f.timestamp != "" {
		t, err := parseTime(f.timestamp)
		if err != nil {
			return nil, err
		}
		b.At(t)
	}
	return b.Build()
}

func (f *claimFlags) fromFile(cmd *cobra.Command) (*assertion.Assertion, error) {
	raw, err := readInput(cmd, f.file, assertion.MaxJSONBytes+1)
	if err != nil {
		return nil, fmt.Errorf("read the claim: %w", err)
	}
	a, err := assertion.DecodeJSON(raw)
	if err != nil {
		return nil, err
	}
	return a, a.Validate()
}

// readInput reads up to most bytes of a file, or of the standard input for -.
func readInput(cmd *cobra.Command, path string, most int64) ([]byte, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	return io.ReadAll(io.LimitReader(in, most))
}

// parseTime reads a time of the command line.
func parseTime(text string) (uint64, error) {
	t, err := unixtime.Parse(text)
	if err != nil {
		return 0, &usageError{err}
	}
	return t, nil
}

func assertCommand(a *app) *cobra.Command {
	var f claimFlags
	var keyFiles []string
	cmd := &cobra.Command{
		Use:   "assert",
		Short: "Sign a claim and store it",
		Example: `  stemectl keys generate me.pem
  stemectl assert --key me.pem --subject Semaglutide --predicate nausea_rate --number 15.8 --class Regulatory --source "Ozempic label" --confidence 0.95`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			claim, err := f.claim(cmd)
			if err != nil {
				return err
			}
			if len(keyFiles) == 0 && len(claim.Signatures) == 0 {
				return &usageError{errors.New("a claim needs a signature: give --key, or a signed claim by --file")}
			}
			for _, file := range keyFiles {
				key, err := client.LoadKey(file)
				if err != nil {
					return err
				}
				claim.Sign(key, uint64(time.Now().Unix()))
			}
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) { return c.Assert(ctx, claim) })
		},
	}
	f.add(cmd)
	cmd.Flags().StringSliceVar(&keyFiles, "key", nil, "signing key; several sign together")
	return cmd
}

func prepareCommand(a *app) *cobra.Command {
	var f claimFlags
	cmd := &cobra.Command{
		Use: "prepare", Short: "Print the canonical bytes and the hash of a claim, without storing it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			claim, err := f.claim(cmd)
			if err != nil {
				return err
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.PrepareResponse, error) {
				return c.Prepare(ctx, claim)
			}, func(w io.Writer, answer *v1.PrepareResponse) {
				row(w, "hash", answer.Hash)
				row(w, "content", answer.Content)
				row(w, "sign", answer.Sign)
			})
		},
	}
	f.add(cmd)
	return cmd
}
