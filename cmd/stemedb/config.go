package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/internal/settings"
)

// displayed are settings as others may see them.
func displayed(effective []settings.Effective) []v1.Setting {
	all := make([]v1.Setting, len(effective))
	for i, e := range effective {
		all[i] = v1.Setting{Name: e.Name, Value: e.Display(), From: e.From}
	}
	return all
}

// readSettings are the settings of a command that has settings.AddFlags, as they
// are effective and as the server takes them.
func readSettings(cmd *cobra.Command) ([]settings.Effective, *settings.Server, error) {
	effective, err := settings.Resolve(cmd.Flags(), os.Environ())
	if err != nil {
		return nil, nil, err
	}
	s, err := settings.Build(effective)
	return effective, s, err
}

func configCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the effective settings and where each comes from",
		Long: `Print the effective settings and where each comes from: flag, environment, file or default. Takes the flags of 'stemedb serve'.
Secrets are masked. The YAML form is itself a settings file, but for the secrets. Settings that contradict each other are printed
all the same, then reported (exit code 78).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			effective, err := settings.Resolve(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if err := printSettings(cmd.OutOrStdout(), effective, output); err != nil {
				return err
			}
			_, err = settings.Build(effective)
			return err
		},
	}
	settings.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&output, "output", "yaml", "yaml or json")
	return cmd
}

func printSettings(out io.Writer, effective []settings.Effective, output string) error {
	switch output {
	case "yaml":
		for _, e := range effective {
			if err := printYAML(out, e); err != nil {
				return err
			}
		}
		return nil
	case "json":
		type line struct {
			Value string `json:"value"`
			From  string `json:"from"`
		}
		lines := map[string]line{}
		for _, e := range effective {
			lines[e.Key()] = line{e.Display(), e.From}
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(lines)
	default:
		return fmt.Errorf("--output %q is neither yaml nor json", output)
	}
}

// printYAML prints one line of a settings file with the origin as a comment; a
// setting without a value is a comment as a whole.
func printYAML(out io.Writer, e settings.Effective) error {
	if e.Value == "" {
		_, err := fmt.Fprintf(out, "# %s: # %s\n", e.Key(), e.From)
		return err
	}
	line, err := yaml.Marshal(map[string]string{e.Key(): e.Display()})
	if err != nil {
		return fmt.Errorf("print %s: %w", e.Name, err)
	}
	_, err = fmt.Fprintf(out, "%s # %s\n", line[:len(line)-1], e.From)
	return err
}
