package assertion

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const signingScript = "examples/sign-with-openssl.sh"

// TestSigningDocQuotesScript: the shell block of docs/signing.md is the script
// that CI runs, to the byte.
func TestSigningDocQuotesScript(t *testing.T) {
	if block := "```bash\n" + readDoc(t, signingScript) + "```\n"; !strings.Contains(readDoc(t, "signing.md"), block) {
		t.Errorf("docs/signing.md does not quote docs/%s: copy the file into its bash block", signingScript)
	}
}

// TestSigningDocExample: the bytes of the worked example are those of its
// vector.
func TestSigningDocExample(t *testing.T) {
	doc := readDoc(t, "signing.md")
	_, rest, _ := strings.Cut(doc, "```cbor\n")
	block, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/signing.md has no cbor block")
	}
	var content strings.Builder
	for line := range strings.Lines(block) {
		content.WriteString(strings.Fields(line)[0])
	}
	for _, vector := range readVectors(t) {
		if vector.Name != "number" {
			continue
		}
		if content.String() != vector.Content {
			t.Errorf("the example says\n%s, the vector\n%s", content.String(), vector.Content)
		}
		var compact strings.Builder
		for line := range strings.Lines(string(vector.Input)) {
			compact.WriteString(strings.TrimSpace(line))
		}
		input := strings.ReplaceAll(compact.String(), `": `, `":`)
		for what, text := range map[string]string{"input": input, "hash": vector.Hash.String(),
			"agent": vector.Signatures[0].AgentID.String(), "signature": vector.Signatures[0].Signature.String()} {
			if !strings.Contains(doc, text+"\n```") {
				t.Errorf("the example does not show the vector's %s %s", what, text)
			}
		}
	}
}

// TestSigningDocIsComplete: contexts and codes of the code are those of the
// page.
func TestSigningDocIsComplete(t *testing.T) {
	doc := readDoc(t, "signing.md")
	for _, context := range []string{contentContext, voteContext, epochContext, supersessionContext} {
		if !strings.Contains(doc, "| `"+context+"` |") {
			t.Errorf("the context %q is not in docs/signing.md", context)
		}
	}
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`Code\w+\s+= "(\w+)"`).FindAllSubmatch(source, -1)
	if len(codes) < 20 {
		t.Fatalf("only %d codes found in errors.go", len(codes))
	}
	for _, code := range codes {
		if name := string(code[1]); name != CodeRecordInvalid && !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("the code %s is not in docs/signing.md", name)
		}
	}
}

// TestSigningScriptSigns runs the script against a server that prepares and
// verifies with this room.
func TestSigningScriptSigns(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	stored := make(chan Hash, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/assert/prepare", func(w http.ResponseWriter, r *http.Request) {
		a := decodeRequest(w, r)
		if a == nil {
			return
		}
		hash := a.ContentHash()
		reply(w, map[string]string{"hash": hash.String(), "content": string(appendHex(nil, a.ContentBytes())), "sign": hash.String()})
	})
	mux.HandleFunc("POST /v1/assert", func(w http.ResponseWriter, r *http.Request) {
		a := decodeRequest(w, r)
		if a == nil {
			return
		}
		if err := a.Verify(VerifyOptions{}); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		stored <- a.ContentHash()
		reply(w, map[string]any{"hash": a.ContentHash(), "status": "created", "index": 1})
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	command := exec.CommandContext(t.Context(), "bash", filepath.Join("..", "docs", filepath.FromSlash(signingScript)), server.URL)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	select {
	case hash := <-stored:
		if !strings.Contains(string(out), hash.String()) {
			t.Errorf("the script does not show the hash %s:\n%s", hash, out)
		}
	default:
		t.Errorf("the script stored nothing:\n%s", out)
	}
}

// decodeRequest answers 400 and returns nil on a claim that this room refuses.
func decodeRequest(w http.ResponseWriter, r *http.Request) *Assertion {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxJSONBytes))
	if err == nil {
		var a *Assertion
		if a, err = DecodeJSON(body); err == nil {
			if err = a.Validate(); err == nil {
				err = a.CheckTimestamp(uint64(time.Now().Unix()))
			}
			if err == nil {
				return a
			}
		}
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
	return nil
}

func reply(w http.ResponseWriter, value any) {
	if err := json.NewEncoder(w).Encode(value); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
