package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/stemedb/stemedb/api/export"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/claimimport"
)

// shownRefusals is how many refused rows are printed; the rest is counted.
const shownRefusals = 20

type importFlags struct {
	mapping     claimimport.Mapping
	mappingFile string
	format      string
	keyring     string
	state       string
	batch       int
	workers     int
}

func importCommand(a *app) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take in an export, or turn the rows of a CSV, TSV or NDJSON file into signed claims (- for standard input)",
		Long: `An export, which "stemectl export" wrote, is known by its first line: it is
verified as a whole, then its records are stored as they are, with their
signatures. It needs no mapping and signs nothing.

Of any other file, turn the rows of a table into signed claims. Every source signs with a key of its own from the keyring, made at the first use;
its source_hash is the BLAKE3 hash of its name. Importing a file again adds nothing. With --resume FILE, an import that was
interrupted goes on where it stopped.`,
		Example: `  stemectl import claims.ndjson
  stemectl import flights.csv --subject-column flight --source-column src \
    --value-columns sched_dep_time,act_dep_time --class Observational --confidence 0.8 --timestamp 2011-12-01T00:00:00Z \
    --null-pattern '(?i)not available' --normalize '(\d{1,2}):(\d\d)\s*([ap])=$1:$2$3'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(a, cmd, args[0]) },
	}
	flags := cmd.Flags()
	m := &f.mapping
	flags.StringVar(&f.mappingFile, "mapping", "", "YAML file with the mapping; the flags below replace parts of it")
	flags.StringVar(&f.format, "format", "", "csv, tsv or ndjson (default: by the file's name)")
	flags.StringVar(&f.keyring, "keyring", defaultKeyring(), "folder with one signing key per source (STEMEDB_KEYRING)")
	flags.StringVar(&f.state, "resume", "", "file that keeps how far the import has come")
	flags.IntVar(&f.batch, "batch", 500, "claims per request, 1 to 1000")
	flags.IntVar(&f.workers, "workers", 4, "requests in flight")
	flags.StringVar(&m.SubjectColumn, "subject-column", "", "column of the subject")
	flags.StringSliceVar(&m.ValueColumns, "value-columns", nil, "columns that become one claim each, their name being the predicate")
	flags.StringVar(&m.PredicateColumn, "predicate-column", "", "column of the predicate, for one claim a row")
	flags.StringVar(&m.Predicate, "predicate", "", "predicate of every row")
	flags.StringVar(&m.ObjectColumn, "object-column", "", "column of the value, for one claim a row")
	flags.StringVar(&m.SourceColumn, "source-column", "", "column of the source's name")
	flags.StringVar(&m.Source, "source", "", "source of every row")
	flags.StringVar(&m.SourceClassColumn, "class-column", "", "column of the source class")
	flags.StringVar(&m.SourceClass, "class", "Anecdotal", "source class of every row")
	flags.StringVar(&m.ConfidenceColumn, "confidence-column", "", "column of the confidence")
	flags.Float64Var(&m.Confidence, "confidence", 1, "confidence of every row")
	flags.StringVar(&m.TimestampColumn, "timestamp-column", "", "column of the time, unix seconds or RFC 3339")
	flags.StringVar(&m.Timestamp, "timestamp", "", "time of every row (default: the file's modification time)")
	flags.StringVar(&m.ObjectType, "object-type", "text", "text, number, boolean, reference or auto")
	flags.StringVar(&m.NullPattern, "null-pattern", "", "regular expression of values that say nothing; empty ones never do")
	flags.StringArrayVar(&m.Normalize, "normalize", nil, "PATTERN=TEMPLATE: the first match in a value, expanded, replaces it")
	return cmd
}

func defaultKeyring() string {
	if dir := os.Getenv("STEMEDB_KEYRING"); dir != "" {
		return dir
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "stemedb-keys"
	}
	return filepath.Join(dir, "stemedb", "keys")
}

func (f *importFlags) run(a *app, cmd *cobra.Command, path string) error {
	in, modified, err := openInput(cmd, path)
	if err != nil {
		return err
	}
	defer in.Close()
	if f.batch < 1 || f.batch > 1000 || f.workers < 1 {
		return &usageError{fmt.Errorf("--batch must be 1 to 1000 and --workers at least 1")}
	}
	head := bufio.NewReader(in)
	if begin, _ := head.Peek(len(export.Magic)); string(begin) == export.Magic { // what cannot be read is told below
		return f.signed(a, cmd, in, head)
	}
	mapper, err := f.mapper(cmd, modified)
	if err != nil {
		return &usageError{err}
	}
	keys, err := client.OpenKeyring(f.keyring)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	progress, finish := progressLine(cmd.ErrOrStderr())
	summary, err := claimimport.Run(cmd.Context(), head, mapper, keys, c, claimimport.Options{
		Format: f.inputFormat(path), BatchSize: f.batch, Workers: f.workers, StatePath: f.state, Progress: progress,
		Refused: showRefusals(cmd.ErrOrStderr()),
	})
	finish()
	if err != nil {
		return fmt.Errorf("%w (%d rows read, %d claims acknowledged; importing again adds only what is missing)", err, summary.Rows, summary.Claims)
	}
	if err := a.show(cmd, summary, func(w io.Writer) {
		row(w, "rows", summary.Rows)
		row(w, "claims", summary.Claims)
		row(w, "created", summary.Created)
		row(w, "existed", summary.Exists)
		row(w, "cosigned", summary.Cosigned)
		row(w, "quarantined", summary.Quarantined)
		row(w, "empty values", summary.Nulls)
		row(w, "skipped rows", summary.Skipped)
		row(w, "refused", summary.Refused)
	}); err != nil {
		return err
	}
	if summary.Refused > 0 {
		return fmt.Errorf("%w: %d", errPartial, summary.Refused)
	}
	return nil
}

// signed takes in an export. It is read twice, which a file can be: first to see
// that it holds.
func (f *importFlags) signed(a *app, cmd *cobra.Command, in io.Reader, head io.Reader) error {
	var alien []string
	cmd.Flags().Visit(func(given *pflag.Flag) {
		if !slices.Contains([]string{"batch", "workers", "resume"}, given.Name) && cmd.Root().PersistentFlags().Lookup(given.Name) == nil {
			alien = append(alien, "--"+given.Name)
		}
	})
	if len(alien) > 0 {
		return &usageError{fmt.Errorf("the file is an export, whose claims are signed already: leave out %s", strings.Join(alien, ", "))}
	}
	file, ok := in.(io.ReadSeeker)
	if ok {
		_, err := file.Seek(0, io.SeekStart)
		ok = err == nil // a pipe cannot
	}
	if !ok {
		kept, drop, err := spool(head)
		if err != nil {
			return err
		}
		defer drop()
		file = kept
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	counted := progressOf(cmd.ErrOrStderr(), "records")
	summary, err := claimimport.Signed(cmd.Context(), file, c, claimimport.SignedOptions{
		BatchSize: f.batch, Workers: f.workers, StatePath: f.state, Refused: showRefusals(cmd.ErrOrStderr()),
		Progress: func(s claimimport.SignedSummary) {
			counted.show(s.Created + s.Exists + s.Cosigned + s.Quarantined + s.Refused + s.Skipped)
		},
	})
	counted.finish()
	if errors.Is(err, export.ErrInvalid) {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	if err != nil {
		return fmt.Errorf("%w (importing again adds only what is missing)", err)
	}
	if err := a.show(cmd, summary, func(w io.Writer) {
		row(w, "records", summary.Records)
		row(w, "created", summary.Created)
		row(w, "existed", summary.Exists)
		row(w, "cosigned", summary.Cosigned)
		row(w, "quarantined", summary.Quarantined)
		row(w, "skipped", summary.Skipped)
		row(w, "refused", summary.Refused)
		row(w, "content digest", summary.Digest)
	}); err != nil {
		return err
	}
	if summary.Refused > 0 {
		return fmt.Errorf("%w: %d", errPartial, summary.Refused)
	}
	return nil
}

// showRefusals prints the first rows that were refused.
func showRefusals(w io.Writer) func(line int, err error) {
	shown := 0
	return func(line int, err error) {
		if shown++; shown <= shownRefusals {
			fmt.Fprintf(w, "line %d: %v\n", line, err)
		}
	}
}

func openInput(cmd *cobra.Command, path string) (io.ReadCloser, time.Time, error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), time.Time{}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, time.Time{}, err
	}
	return file, info.ModTime(), nil
}

// mapper puts the mapping file and the flags together.
func (f *importFlags) mapper(cmd *cobra.Command, modified time.Time) (*claimimport.Mapper, error) {
	m := f.mapping
	if f.mappingFile != "" {
		file, err := claimimport.LoadMapping(f.mappingFile)
		if err != nil {
			return nil, err
		}
		m = overlay(cmd, file, f.mapping)
	}
	if m.Timestamp == "" && m.TimestampColumn == "" && !modified.IsZero() {
		m.Timestamp = modified.UTC().Format(time.RFC3339)
	}
	return claimimport.NewMapper(m)
}

// overlay replaces the parts of a mapping whose flags were given.
func overlay(cmd *cobra.Command, file, flags claimimport.Mapping) claimimport.Mapping {
	for name, set := range map[string]func(){
		"subject-column":    func() { file.SubjectColumn = flags.SubjectColumn },
		"value-columns":     func() { file.ValueColumns = flags.ValueColumns },
		"predicate-column":  func() { file.PredicateColumn = flags.PredicateColumn },
		"predicate":         func() { file.Predicate = flags.Predicate },
		"object-column":     func() { file.ObjectColumn = flags.ObjectColumn },
		"source-column":     func() { file.SourceColumn = flags.SourceColumn },
		"source":            func() { file.Source = flags.Source },
		"class-column":      func() { file.SourceClassColumn = flags.SourceClassColumn },
		"class":             func() { file.SourceClass = flags.SourceClass },
		"confidence-column": func() { file.ConfidenceColumn = flags.ConfidenceColumn },
		"confidence":        func() { file.Confidence = flags.Confidence },
		"timestamp-column":  func() { file.TimestampColumn = flags.TimestampColumn },
		"timestamp":         func() { file.Timestamp = flags.Timestamp },
		"object-type":       func() { file.ObjectType = flags.ObjectType },
		"null-pattern":      func() { file.NullPattern = flags.NullPattern },
		"normalize":         func() { file.Normalize = flags.Normalize },
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
	if file.SourceClass == "" {
		file.SourceClass = flags.SourceClass
	}
	if file.Confidence == 0 && file.ConfidenceColumn == "" {
		file.Confidence = flags.Confidence
	}
	return file
}

func (f *importFlags) inputFormat(path string) claimimport.Format {
	if f.format != "" {
		return claimimport.Format(f.format)
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".tsv", ".tab":
		return claimimport.TSV
	case ".ndjson", ".jsonl":
		return claimimport.NDJSON
	default:
		return claimimport.CSV
	}
}

// terminal is what a person watches, nil if w is none.
func terminal(w io.Writer) *os.File {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// progressLine keeps one line on a terminal up to date; elsewhere it is silent.
func progressLine(w io.Writer) (progress func(claimimport.Summary), finish func()) {
	file := terminal(w)
	if file == nil {
		return nil, func() {}
	}
	began := time.Now()
	return func(s claimimport.Summary) {
			rate := float64(s.Claims) / max(time.Since(began).Seconds(), 0.001)
			fmt.Fprintf(file, "\r%d rows, %d claims (%d new), %.0f claims/s, %d refused ", s.Rows, s.Claims, s.Created, rate, s.Refused)
		}, func() {
			fmt.Fprintln(file)
		}
}
