package claimimport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// memory is a Sender that remembers what it was sent.
type memory struct {
	mu       sync.Mutex
	claims   map[assertion.Hash]*assertion.Assertion
	requests int
	failAt   int // request that fails, from 1
}

func (m *memory) AssertBatch(_ context.Context, claims []*assertion.Assertion) (*v1.BatchResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if m.requests == m.failAt {
		return nil, errors.New("the cluster is gone")
	}
	out := &v1.BatchResponse{}
	for i, a := range claims {
		if err := a.Verify(assertion.VerifyOptions{}); err != nil {
			return nil, err
		}
		h := a.ContentHash()
		r := v1.BatchResult{Line: i + 1, Hash: &h, Status: v1.StatusCreated}
		switch {
		case m.claims[h] != nil:
			r.Status = v1.StatusExists
		case a.Subject == "refused":
			r.Status, r.Code = v1.StatusRefused, "not_owner"
		default:
			m.claims[h] = a
		}
		out.Results = append(out.Results, r)
	}
	return out, nil
}

const flights = "\ufefftuple_id,src,flight,dep,arr\n" +
	"1,aa,AA-1,7:10 a.m.,\n" +
	"2,ua,AA-1,\"7:10am Dec 1\",Not Available\n" +
	"3,aa,AA-2,8:00 p.m.,9:00 p.m.\n"

func flightsMapping() Mapping {
	return Mapping{
		SubjectColumn: "flight", SourceColumn: "src", ValueColumns: []string{"dep", "arr"}, SourceClass: "Observational",
		Confidence: 0.5, Timestamp: "2011-12-01T00:00:00Z", NullPattern: "(?i)not available",
		Normalize: []string{`(\d{1,2}):(\d\d)\s*([ap])=$1:$2$3`},
	}
}

func run1(t rapid.TB, m Mapping, input string, to *memory, o Options) (Summary, error) {
	t.Helper()
	mapper, err := NewMapper(m)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "keys-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	keys, err := client.OpenKeyring(dir)
	if err != nil {
		t.Fatal(err)
	}
	if o.Format == "" {
		o.Format = CSV
	}
	if o.BatchSize == 0 {
		o.BatchSize = 2
	}
	return Run(context.Background(), strings.NewReader(input), mapper, keys, to, o)
}

func TestWideTable(t *testing.T) {
	to := &memory{claims: map[assertion.Hash]*assertion.Assertion{}}
	s, err := run1(t, flightsMapping(), flights, to, Options{Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	if s != (Summary{Rows: 3, Nulls: 2, Claims: 4, Created: 4}) {
		t.Errorf("summary %+v", s)
	}
	said := map[string]bool{}
	for _, a := range to.claims {
		said[fmt.Sprintf("%s %s %s %s %d", a.Subject, a.Predicate, a.Object, a.SourceClass, a.Timestamp)] = true
	}
	for _, want := range []string{"AA-1 dep 7:10a Observational 1322697600", "AA-2 dep 8:00p Observational 1322697600", "AA-2 arr 9:00p Observational 1322697600"} {
		if !said[want] {
			t.Errorf("no claim %q among %v", want, said)
		}
	}
}

func TestLongTableAndTypes(t *testing.T) {
	to := &memory{claims: map[assertion.Hash]*assertion.Assertion{}}
	m := Mapping{
		SubjectColumn: "drug", PredicateColumn: "what", ObjectColumn: "value", SourceColumn: "who", SourceClassColumn: "class",
		ConfidenceColumn: "sure", TimestampColumn: "when", ObjectType: "auto",
	}
	input := `{"drug":"A","what":"rate","value":1.5,"who":"x","class":"Expert","sure":0.25,"when":1700000000}
{"drug":"A","what":"safe","value":true,"who":"x","class":"PeerReviewed","sure":1,"when":"2024-01-01T00:00:00Z"}

{"drug":"A","what":"note","value":null,"who":"x","class":"Expert","sure":1,"when":1}
not json
{"drug":"A","what":"note","value":"hm","who":"x","class":"Nobody","sure":1,"when":1}
{"drug":"refused","what":"note","value":"hm","who":"x","class":"Expert","sure":1,"when":1}
`
	refused := map[int]string{}
	s, err := run1(t, m, input, to, Options{Format: NDJSON, Refused: func(line int, err error) { refused[line] = err.Error() }})
	if err != nil {
		t.Fatal(err)
	}
	if s != (Summary{Rows: 6, Nulls: 1, Claims: 2, Created: 2, Refused: 3}) {
		t.Errorf("summary %+v", s)
	}
	for line, want := range map[int]string{5: "not a JSON object", 6: "no source class", 7: "not_owner"} {
		if !strings.Contains(refused[line], want) {
			t.Errorf("line %d: %q, want %q", line, refused[line], want)
		}
	}
}

func TestAnInterruptedImportResumes(t *testing.T) {
	var input strings.Builder
	input.WriteString("src,flight,dep\n")
	for i := range 100 {
		fmt.Fprintf(&input, "s%d,F-%d,%d\n", i%5, i, i)
	}
	m := Mapping{SubjectColumn: "flight", SourceColumn: "src", ValueColumns: []string{"dep"}, Confidence: 1, Timestamp: "1"}
	to := &memory{claims: map[assertion.Hash]*assertion.Assertion{}, failAt: 4}
	state := filepath.Join(t.TempDir(), "state")
	o := Options{BatchSize: 10, Workers: 1, StatePath: state}
	if _, err := run1(t, m, input.String(), to, o); err == nil || !strings.Contains(err.Error(), "the cluster is gone") {
		t.Fatalf("got %v", err)
	}
	s, err := run1(t, m, input.String(), to, o)
	if err != nil || s.Skipped != 30 || s.Created != 70 || len(to.claims) != 100 {
		t.Errorf("resumed: %+v, %v, %d claims stored", s, err, len(to.claims))
	}
	// More rows may follow, other ones may not come before.
	grown := input.String() + "s0,F-new,7\n"
	if s, err := run1(t, m, grown, to, o); err != nil || s.Skipped != 100 || s.Created != 1 {
		t.Errorf("with a new row: %+v, %v", s, err)
	}
	for name, other := range map[string]string{
		"changed": strings.Replace(grown, "F-7,7", "F-7,8", 1), "shorter": input.String(), "renamed": strings.Replace(grown, "dep", "dep,x", 1),
	} {
		if s, err := run1(t, m, other, to, o); err == nil || !strings.Contains(err.Error(), "another input") {
			t.Errorf("%s input: %+v, %v", name, s, err)
		}
	}
	m.Confidence = 0.5
	if _, err := run1(t, m, grown, to, o); err == nil || !strings.Contains(err.Error(), "another mapping") {
		t.Errorf("a state of another mapping: %v", err)
	}
}

// TestBatchesInFlightLeaveNoGap: batches that end out of order move the state
// only over rows that are all answered.
func TestBatchesInFlightLeaveNoGap(t *testing.T) {
	root, tries := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "rows")
		var input strings.Builder
		input.WriteString("src,flight,dep\n")
		for i := range n {
			fmt.Fprintf(&input, "s,F-%d,%d\n", i, i)
		}
		tries++
		dir := filepath.Join(root, strconv.Itoa(tries))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		m := Mapping{SubjectColumn: "flight", SourceColumn: "src", ValueColumns: []string{"dep"}, Confidence: 1, Timestamp: "1"}
		o := Options{BatchSize: rapid.IntRange(1, 7).Draw(t, "batch"), Workers: rapid.IntRange(1, 4).Draw(t, "workers"), StatePath: filepath.Join(dir, "state")}
		to := &memory{claims: map[assertion.Hash]*assertion.Assertion{}, failAt: rapid.IntRange(1, 20).Draw(t, "fail")}
		var err error
		for range 2 {
			_, err = run1(t, m, input.String(), to, o)
		}
		if err != nil || len(to.claims) != n {
			t.Fatalf("%d of %d claims stored, %v", len(to.claims), n, err)
		}
	})
}

func TestRowsThatAreWrong(t *testing.T) {
	wide := Mapping{SubjectColumn: "s", Source: "me", ValueColumns: []string{"a", "b"}, Confidence: 1, Timestamp: "1"}
	number := wide
	number.ObjectType = "number"
	for _, tc := range []struct {
		name, input string
		format      Format
		mapping     Mapping
		refused     map[int]string
		fails       string
		claims      int
	}{
		{"too few fields", "s,a,b\nx,1,2\ny,1\nz,1,2\n", CSV, wide, map[int]string{3: "2 fields, where there are 3 columns"}, "", 4},
		{"too many fields", "s\ta\tb\nx\t1\t2\t3\n", TSV, wide, map[int]string{2: "4 fields"}, "", 0},
		{"line of a field with line ends", "s,a,b\n\"x\n1\",1,2\ny,1\n", CSV, wide, map[int]string{2: "a control character", 4: "2 fields"}, "", 0},
		{"a quote that does not close", "s,a,b\nx,\"1,2\n", CSV, wide, nil, "line 2", 0},
		{"no such column", "s,a\nx,1\n", CSV, wide, nil, `no column "b": the columns are s, a`, 0},
		{"a column twice", "s,a,b,a\nx,1,2,3\n", CSV, wide, nil, `2 columns "a"`, 0},
		{"another column twice", "s,a,b,n,n\nx,1,2,3,4\n", CSV, wide, nil, "", 2},
		{"empty", "", CSV, wide, nil, "the input is empty", 0},
		{"no row", "s,a,b\n", CSV, wide, nil, "", 0},
		{"not finite", "s,a,b\nx,NaN,1\n", CSV, number, map[int]string{2: "not a finite number"}, "", 0},
		{"no number", "s,a,b\nx,one,1\n", CSV, number, map[int]string{2: `column a: "one" is no number`}, "", 0},
		{"sparse", `{"s":"x","a":"1"}` + "\n" + `{"s":"y","b":"1"}`, NDJSON, wide, nil, "", 2},
		{"a column that no row has", `{"s":"x","a":"1"}`, NDJSON, wide, nil, `no row has a column "b"`, 1},
		{"something follows", `{"s":"x","a":"1","b":"2"} {}`, NDJSON, wide, map[int]string{1: "something follows"}, `no row has a column "a"`, 0},
		{"null", "null\n" + `{"s":"x","a":"1","b":"2"}`, NDJSON, wide, map[int]string{1: "not a JSON object"}, "", 2},
		{"a list", `{"s":"x","a":[1],"b":"2"}` + "\n" + `{"s":"x","a":"1","b":"2"}`, NDJSON, wide, map[int]string{1: "a list or an object"}, "", 2},
		{"no format", "", "xlsx", wide, nil, "csv, tsv or ndjson", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to := &memory{claims: map[assertion.Hash]*assertion.Assertion{}}
			refused := map[int]string{}
			s, err := run1(t, tc.mapping, tc.input, to, Options{Format: tc.format, Workers: 3, Refused: func(line int, err error) { refused[line] += err.Error() }})
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("got the error %v, want %q", err, tc.fails)
			}
			if len(refused) != len(tc.refused) || s.Refused != len(tc.refused) || len(to.claims) != tc.claims {
				t.Errorf("refused %v (%d), want %v; %d claims, want %d", refused, s.Refused, tc.refused, len(to.claims), tc.claims)
			}
			for line, want := range tc.refused {
				if !strings.Contains(refused[line], want) {
					t.Errorf("line %d: %q, want %q", line, refused[line], want)
				}
			}
		})
	}
}

func TestAutoTakesOnlyPlainNumbers(t *testing.T) {
	object, err := objectParser("auto")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]assertion.ObjectValue{
		"1": assertion.Number(1), "-0.5e3": assertion.Number(-500), "TRUE": assertion.Boolean(true), "false": assertion.Boolean(false),
		"007": assertion.Text("007"), "+1": assertion.Text("+1"), "NaN": assertion.Text("NaN"), "inf": assertion.Text("inf"),
		"0x10": assertion.Text("0x10"), "1_000": assertion.Text("1_000"), "1.": assertion.Text("1."), "t": assertion.Text("t"),
	} {
		if got, err := object(text); err != nil || got != want {
			t.Errorf("%q becomes %s %s (%v), want %s %s", text, got.Kind(), got, err, want.Kind(), want)
		}
	}
}

func TestNormalize(t *testing.T) {
	for _, tc := range []struct{ rule, value, want string }{
		{`(\d{1,2}):(\d\d)\s*([ap])=$1:$2$3`, "Dec 1 - 7:10 a.m.", "7:10a"},
		{`(\d{1,2}):(\d\d)\s*([ap])=$1:$2$3`, "noon", "noon"},
		{`\d+`, "gate 12", "12"},
		{`a=b=x`, "a=b", "x"},
		{`(\d+)h=${1} hours`, "12h", "12 hours"},
	} {
		r, err := parseRule(tc.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.apply(tc.value); got != tc.want {
			t.Errorf("%q on %q gives %q, want %q", tc.rule, tc.value, got, tc.want)
		}
	}
}

func TestMappingsSayWhatIsMissing(t *testing.T) {
	good := flightsMapping()
	for want, breakIt := range map[string]func(*Mapping){
		"no subject column":     func(m *Mapping) { m.SubjectColumn = "" },
		"neither value columns": func(m *Mapping) { m.ValueColumns = nil },
		"both value columns":    func(m *Mapping) { m.ObjectColumn = "x" },
		"source for all":        func(m *Mapping) { m.SourceColumn = "" },
		"timestamp for all":     func(m *Mapping) { m.Timestamp = "" },
		"null pattern":          func(m *Mapping) { m.NullPattern = "(" },
		"normalisation":         func(m *Mapping) { m.Normalize = []string{"("} },
		"object type":           func(m *Mapping) { m.ObjectType = "date" },
		"RFC 3339":              func(m *Mapping) { m.Timestamp = "yesterday" },
	} {
		m := good
		breakIt(&m)
		if _, err := NewMapper(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
}

// Whatever a table holds, reading it ends, and a fault of one row is told apart
// from one of the whole.
func FuzzRows(f *testing.F) {
	for _, text := range []string{"a,b\n1,2\n", "a\tb\n1\t2", "a,a\n", "\"a\n", "a,b\n1\n1,2,3\n", `{"a":1,"b":null}` + "\n[]\n{", "\xef\xbb\xbfa,b\n1,2", ""} {
		for i := range 3 {
			f.Add(text, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		rows, err := newRowReader(strings.NewReader(text), []Format{CSV, TSV, NDJSON}[which%3])
		if err != nil {
			return
		}
		last := 0
		for range len(text) + 2 {
			row, line, err := rows.next()
			var bad *rowError
			if err != nil && !errors.As(err, &bad) {
				return
			}
			if line < last || err == nil && row == nil {
				t.Fatalf("line %d after %d: %v", line, last, row)
			}
			last = line
		}
		t.Fatalf("%d bytes have more rows than that", len(text))
	})
}
