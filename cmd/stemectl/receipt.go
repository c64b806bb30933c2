package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/api/receipt"
	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// maxReceiptBytes bounds what is read: a receipt of 1000 claims of the largest
// size.
const maxReceiptBytes = 256 << 20

func verifyReceiptCommand(a *app) *cobra.Command {
	var keysFile, nodeKey string
	var anyKey bool
	cmd := &cobra.Command{
		Use: "verify-receipt FILE", Short: "Check a receipt without any node: signatures, claims, and the answer computed again", Args: cobra.ExactArgs(1),
		Long: `Checks a receipt, or an answer that holds one, without asking any node: the
node's signature, every claim's hash and signatures, and the answer, which is
computed again from the claims. FILE - is the standard input.

The node's key is held against a list that was saved before with
"stemectl cluster keys -o json", or against one key that you know.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			known := 0
			for _, given := range []bool{keysFile != "", nodeKey != "", anyKey} {
				if given {
					known++
				}
			}
			if known != 1 {
				return &usageError{errors.New("say whose keys count: one of --keys FILE, --node-key KEY or --any-key")}
			}
			r, err := readReceipt(cmd, args[0])
			if err != nil {
				return err
			}
			report, err := receipt.Verify(r)
			if err != nil {
				return err
			}
			node, err := nodeOf(r, keysFile, nodeKey)
			if err != nil {
				return err
			}
			return a.show(cmd, receiptResult(r, report, node), func(w io.Writer) { receiptTable(w, r, report, node) })
		},
	}
	cmd.Flags().StringVar(&keysFile, "keys", "", "the cluster's node keys, as stemectl cluster keys -o json prints them")
	cmd.Flags().StringVar(&nodeKey, "node-key", "", "the key of the node, in hex")
	cmd.Flags().BoolVar(&anyKey, "any-key", false, "whoever made the receipt: nothing shows that it was a node of your cluster")
	return cmd
}

// readReceipt reads a receipt, by itself or within an answer.
func readReceipt(cmd *cobra.Command, path string) (*v1.Receipt, error) {
	raw, err := readInput(cmd, path, maxReceiptBytes+1)
	if err == nil && len(raw) > maxReceiptBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, maxReceiptBytes)
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Receipt *v1.Receipt `json:"receipt"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("%s is no receipt: %w", path, err)
	}
	if answer.Receipt != nil {
		return answer.Receipt, sameAnswer(raw, &answer.Receipt.Statement)
	}
	alone := new(v1.Receipt)
	if err := json.Unmarshal(raw, alone); err != nil || alone.Statement.Version == 0 {
		return nil, fmt.Errorf("%s holds no receipt: ask with --receipt -o json", path)
	}
	return alone, nil
}

// sameAnswer refuses an answer that says something else than the receipt in it:
// whoever reads the answer would be shown what nobody signed.
func sameAnswer(raw []byte, statement *v1.ReceiptStatement) error {
	var around struct {
		Resolution *struct {
			Winner     *struct{ Object assertion.ObjectValue } `json:"winner"`
			Confidence float64                                 `json:"confidence"`
		} `json:"resolution"`
		Assertions    []v1.Assertion                           `json:"assertions"`
		Status        *string                                  `json:"status"`
		ConflictScore *float64                                 `json:"conflict_score"`
		Claims        []struct{ Object assertion.ObjectValue } `json:"claims"`
		Winner        *struct{ Object assertion.ObjectValue }  `json:"winner"`
	}
	if err := json.Unmarshal(raw, &around); err != nil {
		return fmt.Errorf("the answer around the receipt cannot be read: %w", err)
	}
	differs := func(what string) error {
		return fmt.Errorf("%w: the answer around it says something else: %s", receipt.ErrInvalid, what)
	}
	for i := range around.Assertions {
		a := &around.Assertions[i]
		if a.Signed().ContentHash() != a.Hash || !slices.Contains(statement.Claims, a.Hash) {
			return differs("a claim that is not among those of the receipt")
		}
	}
	signed, winner := &statement.Answer, around.Winner
	if r := around.Resolution; r != nil {
		if winner = r.Winner; r.Confidence != signed.Confidence || (winner == nil) != (signed.Object == nil) {
			return differs("another winner or confidence")
		}
	}
	switch {
	case winner != nil && (signed.Object == nil || winner.Object != *signed.Object), len(around.Claims) > 0 && (signed.Object == nil || around.Claims[0].Object != *signed.Object):
		return differs("another winner")
	case around.Status != nil && *around.Status != signed.Status, around.ConflictScore != nil && *around.ConflictScore != signed.ConflictScore:
		return differs("another conflict")
	}
	return nil
}

// nodeOf holds the receipt's key against those that count and names its node;
// "" if any key does.
func nodeOf(r *v1.Receipt, keysFile, nodeKey string) (string, error) {
	if nodeKey != "" {
		want, err := assertion.ParseAgentID(nodeKey)
		if err != nil {
			return "", &usageError{fmt.Errorf("--node-key: %w", err)}
		}
		if want != r.NodeKey {
			return "", fmt.Errorf("%w: it is signed by %s, not by the key given", receipt.ErrInvalid, r.NodeKey)
		}
		return "the key given", nil
	}
	if keysFile == "" {
		return "", nil
	}
	raw, err := os.ReadFile(keysFile)
	if err != nil {
		return "", err
	}
	var keys v1.NodeKeysResponse
	if err := json.Unmarshal(raw, &keys); err != nil {
		return "", fmt.Errorf("%s is not what stemectl cluster keys -o json prints: %w", keysFile, err)
	}
	if keys.ClusterID == "" {
		return "", fmt.Errorf("%s is not what stemectl cluster keys -o json prints: it names no cluster", keysFile)
	}
	if keys.ClusterID != r.Statement.ClusterID {
		return "", fmt.Errorf("%w: it is of the cluster %s, the keys are of %s", receipt.ErrInvalid, r.Statement.ClusterID, keys.ClusterID)
	}
	i := slices.IndexFunc(keys.Keys, func(k v1.NodeKey) bool { return k.Key == r.NodeKey })
	if i < 0 {
		return "", fmt.Errorf("%w: the key %s is not among those of %s", receipt.ErrInvalid, r.NodeKey, keysFile)
	}
	return keys.Keys[i].NodeID, nil
}

// verifiedReceipt is what verify-receipt prints as JSON.
type verifiedReceipt struct {
	Valid bool `json:"valid"`
	// Node is the node whose key it is, absent if any key counted.
	Node       string              `json:"node,omitempty"`
	Statement  v1.ReceiptStatement `json:"statement"`
	Signatures int                 `json:"signatures"`
	Votes      int                 `json:"votes"`
	// Legacy counts signatures that do not cover the object.
	Legacy int `json:"legacy_signatures"`
}

func receiptResult(r *v1.Receipt, report *receipt.Report, node string) verifiedReceipt {
	return verifiedReceipt{Valid: true, Node: node, Statement: r.Statement, Signatures: report.Signatures, Votes: report.Votes, Legacy: report.Legacy}
}

func receiptTable(w io.Writer, r *v1.Receipt, report *receipt.Report, node string) {
	s := &r.Statement
	if node == "" {
		node = "not checked (--any-key)"
	}
	row(w, "receipt", "valid")
	row(w, "signed by", node)
	row(w, "cluster", s.ClusterID)
	row(w, "question", s.Subject+" "+s.Predicate)
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		row(w, "asked with", fmt.Sprintf("%s = %v", name, s.Parameters[name]))
	}
	if len(s.Names) > 0 {
		row(w, "asked under", strings.Join(s.Names, ", "))
	}
	row(w, "lens", s.Lens)
	if s.Answer.Object != nil {
		row(w, "answer", *s.Answer.Object)
	} else {
		row(w, "answer", "none: there is no claim")
	}
	row(w, "confidence", fmt.Sprintf("%.4f", s.Answer.Confidence))
	row(w, "status", fmt.Sprintf("%s (conflict %.3f, disagreement %.3f)", s.Answer.Status, s.Answer.ConflictScore, s.Answer.Disagreement))
	row(w, "as of", time.Unix(int64(s.At), 0).UTC().Format(time.RFC3339))
	row(w, "state", fmt.Sprintf("log index %d, digest %s", s.Index, s.Digest))
	row(w, "computed again from", fmt.Sprintf("%d claims with %d signatures, %d votes", report.Claims, report.Signatures, report.Votes))
	if report.Legacy > 0 {
		row(w, "beware", fmt.Sprintf("%d signatures are of version 1 and do not cover the value", report.Legacy))
	}
}
