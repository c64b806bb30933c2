package lensbench

import (
	"compress/gzip"
	"crypto/ed25519"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/claimimport"
	"github.com/stemedb/stemedb/internal/flightseval"
)

// Dataset is claims, and the right answers to some of their questions.
type Dataset struct {
	Name string
	// Questions are in the order in which the claims first ask them.
	Questions []assertion.Question
	Claims    map[assertion.Question][]*assertion.Claim
	Gold      map[assertion.Question]assertion.ObjectValue
	// Agents are the names of the sources' keys.
	Agents map[assertion.AgentID]string

	claims uint64
}

// stated is the timestamp of every claim: none is newer than another.
const stated = 1_700_000_000

func newDataset(name string) *Dataset {
	return &Dataset{Name: name, Claims: map[assertion.Question][]*assertion.Claim{},
		Gold: map[assertion.Question]assertion.ObjectValue{}, Agents: map[assertion.AgentID]string{}}
}

// add states a claim by a source. A source's repetition of itself is not a
// second claim.
func (d *Dataset) add(q assertion.Question, source string, object assertion.ObjectValue) {
	seed := blake3.Sum256([]byte(source))
	agent := assertion.AgentOf(ed25519.NewKeyFromSeed(seed[:]))
	d.Agents[agent] = source
	d.claims++
	a := assertion.Assertion{Subject: q.Subject, Predicate: q.Predicate, Object: object, Confidence: 0.8, SourceClass: assertion.Observational,
		SourceHash: blake3.Sum256([]byte("source " + source)), Timestamp: stated, Signatures: []assertion.Signature{{AgentID: agent, Version: 2}}}
	commit := assertion.Commit{Position: assertion.Position{Index: d.claims}, At: stated}
	c := &assertion.Claim{Assertion: a, Hash: a.ContentHash(), Commit: commit, SignatureCommits: []assertion.Commit{commit}}
	if d.Claims[q] == nil {
		d.Questions = append(d.Questions, q)
	}
	d.Claims[q] = append(d.Claims[q], c)
}

// Flights reads the flights; left out are the sources named.
func Flights(folder string, without ...string) (*Dataset, error) {
	name := "flights-small"
	leave := map[string]bool{}
	for _, s := range without {
		leave[s] = true
	}
	if len(without) > 0 {
		name += " without " + strings.Join(without, ", ")
	}
	d := newDataset(name)
	mapper, err := claimimport.NewMapper(flightseval.Mapping())
	if err != nil {
		return nil, err
	}
	err = rows(filepath.Join(folder, "flights-small", "dirty.csv"), ',', func(row map[string]string) error {
		if leave[row["src"]] {
			return nil
		}
		claims, _, err := mapper.Claims(row)
		for _, c := range claims {
			d.add(assertion.Question{Subject: c.Claim.Subject, Predicate: c.Claim.Predicate}, c.Source, c.Claim.Object)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	gold, err := flightseval.RightAnswers(filepath.Join(folder, "flights-small", "clean.csv"))
	if err != nil {
		return nil, err
	}
	for q, answer := range gold {
		d.Gold[assertion.Question{Subject: q[0], Predicate: q[1]}] = assertion.Text(answer)
	}
	return d, nil
}

// Evidence reads what annotators make of trials. Right is the label that the
// verifier accepted, where it is one.
func Evidence(folder string) (*Dataset, error) {
	d := newDataset("evidence-inference")
	accepted := map[assertion.Question]map[string]bool{}
	err := rows(filepath.Join(folder, "evidence-inference", "claims.tsv"), '\t', func(row map[string]string) error {
		q := assertion.Question{Subject: "prompt/" + row["prompt_id"], Predicate: "effect"}
		d.add(q, row["annotator"], assertion.Text(row["label"]))
		if row["verifier_accepts"] == "True" {
			if accepted[q] == nil {
				accepted[q] = map[string]bool{}
			}
			accepted[q][row["label"]] = true
		}
		return nil
	})
	for q, labels := range accepted {
		for label := range labels {
			if len(labels) == 1 {
				d.Gold[q] = assertion.Text(label)
			}
		}
	}
	return d, err
}

// Interactions reads how severe four sources hold pairs of drugs. Nobody knows
// the right answers.
func Interactions(folder string) (*Dataset, error) {
	d := newDataset("pddi")
	err := rows(filepath.Join(folder, "pddi", "severity_claims.tsv.gz"), '\t', func(row map[string]string) error {
		level, err := strconv.ParseFloat(row["level"], 64)
		if err != nil {
			return err
		}
		d.add(assertion.Question{Subject: row["drugbank1"] + "+" + row["drugbank2"], Predicate: "severity"}, row["source"], assertion.Number(level))
		return nil
	})
	return d, err
}

// rows reads a table with a header.
func rows(path string, comma rune, each func(map[string]string) error) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	r := csv.NewReader(in)
	r.Comma, r.LazyQuotes = comma, comma == '\t'
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for {
		record, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		row := make(map[string]string, len(header))
		for i, name := range header {
			row[name] = record[i]
		}
		if err := each(row); err != nil {
			line, _ := r.FieldPos(0)
			return fmt.Errorf("%s:%d: %w", path, line, err)
		}
	}
}
