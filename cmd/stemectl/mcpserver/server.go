package mcpserver

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/version"
)

// Config says what is offered.
type Config struct {
	// Client talks to the cluster.
	Client *client.Client
	// Key signs what agents assert; nil leaves the tool assert out.
	Key ed25519.PrivateKey
	// Logger gets what the protocol's library says; it must not write to the
	// standard output.
	Logger *slog.Logger
}

// instructions are for the agent's model.
const instructions = `StemeDB keeps every claim with its author, source and confidence, also claims that contradict each other. ` +
	`Ask "query" for the resolved answer to a question (a subject and a predicate) and look at its conflict before you rely on it: ` +
	`Unanimous and Agreed answers are settled, Contested ones are not; "skeptic" shows every value, "layered" the answer of each class of sources, ` +
	`"trace" where a claim comes from, "conflicts" what is contested most. State what you learn with "assert", naming your source; nothing is overwritten.`

// New makes a server with the tools.
func New(cfg Config) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "stemedb", Title: "StemeDB", Version: version.Number()},
		&mcp.ServerOptions{Instructions: instructions, Logger: cfg.Logger, Capabilities: &mcp.ServerCapabilities{}})
	t := tools{client: cfg.Client, key: cfg.Key}
	add(s, "query", "Resolve a question", "The answer to a question (subject and predicate) by a lens, how contested it is, and the claims behind it.", t.query)
	add(s, "skeptic", "How contested is a question?", "Every value that is claimed for a question with its share of the support, and how much they disagree.", t.skeptic)
	add(s, "layered", "What does each class of sources say?", "The answer of each source class to a question, strongest class first, and whether they disagree.", t.layered)
	add(s, "trace", "Where does a claim come from?", "The provenance of a claim: what it derives from, its sources, votes and what became of it.", t.trace)
	add(s, "conflicts", "What is contested?", "The questions whose answers are contested most, the most contested first.", t.conflicts)
	if cfg.Key != nil {
		no := false
		mcp.AddTool(s, &mcp.Tool{Name: "assert", Title: "State a claim",
			Description: "Signs a claim with this agent's key and stores it beside whatever else is claimed; nothing is overwritten. Answers with how contested the question is now.",
			Annotations: &mcp.ToolAnnotations{Title: "State a claim", DestructiveHint: &no, OpenWorldHint: &no}}, explained(t.assert))
	}
	return s
}

// add adds a tool that only reads.
func add[In, Out any](s *mcp.Server, name, title, description string, handle func(context.Context, In) (Out, error)) {
	no := false
	mcp.AddTool(s, &mcp.Tool{Name: name, Title: title, Description: description,
		Annotations: &mcp.ToolAnnotations{Title: title, ReadOnlyHint: true, OpenWorldHint: &no}}, explained(handle))
}

// explained turns an error into that of the tool, with what the database says
// about it.
func explained[In, Out any](handle func(context.Context, In) (Out, error)) mcp.ToolHandlerFor[In, Out] {
	return func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, Out, error) {
		out, err := handle(ctx, in)
		var refusal *client.Error
		var bad *inputError
		switch {
		case err == nil, errors.As(err, &bad):
		case errors.As(err, &refusal):
			text := refusal.Code + ": " + refusal.Detail
			if refusal.Field != "" {
				text = refusal.Code + " in " + refusal.Field + ": " + refusal.Detail
			}
			if refusal.Fix != "" {
				text += "; " + refusal.Fix
			}
			err = errors.New(text)
		default:
			err = fmt.Errorf("no answer from the database: %w", err)
		}
		return nil, out, err
	}
}

// inputError marks a fault of the arguments that the schema does not catch.
type inputError struct{ text string }

func (e *inputError) Error() string { return e.text }

func badInput(format string, values ...any) error { return &inputError{fmt.Sprintf(format, values...)} }
