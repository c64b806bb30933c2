// Package flightseval measures StemeDB on the flights data set of the Raha
// project (38 web sites state the scheduled and actual times of 100 flights;
// the right answers are known): how often the consensus lens is right, and how
// well the skeptic's disagreement tells where it is wrong.
//
// The data are not part of this repository.
package flightseval

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/claimimport"
)

// The reading of the data: which values say nothing, and how times are written
// in one way.
const (
	NullPattern  = `(?i)not available|contact airline`
	timePattern  = `(\d{1,2}):(\d\d)\s*([ap])`
	timeTemplate = `${1}:${2}${3}`
)

// attributes are the columns that become claims.
var attributes = []string{"sched_dep_time", "act_dep_time", "sched_arr_time", "act_arr_time"}

// Mapping is how the file becomes claims: one timestamp, class and confidence
// for all.
func Mapping() claimimport.Mapping {
	return claimimport.Mapping{
		SubjectColumn: "flight", SourceColumn: "src", ValueColumns: attributes, SourceClass: "Observational", Confidence: 0.8,
		Timestamp: "2011-12-01T00:00:00Z", ObjectType: "text", NullPattern: NullPattern, Normalize: []string{timePattern + "=" + timeTemplate},
	}
}

// Result holds the three figures.
type Result struct {
	Claims    int     // claims that the file holds
	Questions int     // flight attributes with a right answer
	Right     int     // of them answered rightly by consensus
	AUC       float64 // of the skeptic's disagreement as a sign of a wrong answer
}

// Accuracy is the part of the questions that consensus answers rightly.
func (r Result) Accuracy() float64 { return float64(r.Right) / float64(r.Questions) }

// Check says which figure is outside of what is expected.
func (r Result) Check() error {
	switch {
	case r.Claims != 7102:
		return fmt.Errorf("%d claims, 7102 expected", r.Claims)
	case r.Questions != 400:
		return fmt.Errorf("%d questions, 400 expected", r.Questions)
	case r.Accuracy() < 0.79 || r.Accuracy() > 0.81:
		return fmt.Errorf("consensus agrees with the right answers on %.4f, 0.79 to 0.81 expected", r.Accuracy())
	case r.AUC < 0.82:
		return fmt.Errorf("the disagreement has an AUC of %.4f, at least 0.82 expected", r.AUC)
	}
	return nil
}

func (r Result) String() string {
	return fmt.Sprintf("claims                                    %d\nconsensus agrees with the right answers   %.4f (%d of %d)\nAUC of the skeptic's disagreement         %.4f\n",
		r.Claims, r.Accuracy(), r.Right, r.Questions, r.AUC)
}

// Run imports dirty.csv of the folder into a cluster and asks it every
// question of clean.csv.
func Run(ctx context.Context, folder, keyring string, c *client.Client) (Result, error) {
	var r Result
	mapper, err := claimimport.NewMapper(Mapping())
	if err != nil {
		return r, err
	}
	keys, err := client.OpenKeyring(keyring)
	if err != nil {
		return r, err
	}
	dirty, err := os.Open(filepath.Join(folder, "dirty.csv"))
	if err != nil {
		return r, err
	}
	defer dirty.Close()
	summary, err := claimimport.Run(ctx, dirty, mapper, keys, c, claimimport.Options{Format: claimimport.CSV, BatchSize: 500, Workers: 4})
	if err != nil {
		return r, err
	}
	if summary.Refused > 0 {
		return r, fmt.Errorf("%d claims were refused", summary.Refused)
	}
	r.Claims = summary.Claims
	gold, err := RightAnswers(filepath.Join(folder, "clean.csv"))
	if err != nil {
		return r, err
	}
	var wrong, right []float64 // disagreement
	for question, answer := range gold {
		q := client.Query{Subject: question[0], Predicate: question[1]}
		consensus, err := c.Resolve(ctx, "consensus", q)
		if err != nil {
			return r, err
		}
		skeptic, err := c.Skeptic(ctx, q)
		if err != nil {
			return r, err
		}
		r.Questions++
		if consensus.Winner != nil && consensus.Winner.Object.String() == answer {
			r.Right++
			right = append(right, skeptic.Disagreement)
		} else {
			wrong = append(wrong, skeptic.Disagreement)
		}
	}
	r.AUC = AUC(wrong, right)
	return r, nil
}

// RightAnswers reads the answer to each (flight, attribute), normalised as the
// claims are.
func RightAnswers(path string) (map[[2]string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	flight := slices.Index(rows[0], "flight")
	times := regexp.MustCompile(timePattern)
	gold := map[[2]string]string{}
	for _, row := range rows[1:] {
		for _, attribute := range attributes {
			value := strings.TrimSpace(row[slices.Index(rows[0], attribute)])
			if m := times.FindStringSubmatchIndex(value); m != nil {
				value = string(times.ExpandString(nil, timeTemplate, value, m))
			}
			if value != "" {
				gold[[2]string{row[flight], attribute}] = value
			}
		}
	}
	return gold, nil
}

// AUC is the probability that a wrong answer has the larger score of the two,
// ties counting half (Mann and Whitney).
func AUC(wrong, right []float64) float64 {
	var wins float64
	for _, w := range wrong {
		for _, r := range right {
			switch {
			case w > r:
				wins++
			case w == r:
				wins += 0.5
			}
		}
	}
	return wins / float64(len(wrong)*len(right))
}
