package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/internal/certs"
	"github.com/stemedb/stemedb/internal/exitcode"
)

const (
	day = 24 * time.Hour
	// maxDays bounds a validity: what is valid for longer is never renewed.
	maxDays     = 100 * 365
	defaultCA   = 10 * 365
	defaultNode = 365
)

func certsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Make an authority and the nodes' certificates for a cluster",
		Long: `Make an authority and the nodes' certificates for a cluster. One certificate of a node serves for HTTPS (http-tls-cert), and for both
sides of the connections between nodes (tls-cert, tls-ca). Keys are ECDSA P-256. docs/security.md shows the whole set-up.`,
	}
	cmd.AddCommand(certsCACommand(), certsNodeCommand())
	return cmd
}

// validity is the flag of a time in days.
type validity int

func (v *validity) flag(cmd *cobra.Command, standard int) {
	cmd.Flags().IntVar((*int)(v), "days", standard, "validity in days")
}

func (v *validity) duration() (time.Duration, error) {
	if *v < 1 || *v > maxDays {
		return 0, fmt.Errorf("--days %d: 1 to %d are possible", *v, maxDays)
	}
	return time.Duration(*v) * day, nil
}

func certsCACommand() *cobra.Command {
	var out, name string
	var force bool
	var days validity
	cmd := &cobra.Command{
		Use:   "ca --out DIR",
		Short: "Make the authority of a cluster: " + certs.CAFile + " and " + certs.CAKeyFile,
		Long: `Make the authority of a cluster: ` + certs.CAFile + `, which every node and client gets, and ` + certs.CAKeyFile + `, which no node needs. Whoever has
the key can make a node that the cluster takes for its own: keep it off the nodes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			valid, err := days.duration()
			if err != nil {
				return err
			}
			authority, err := certs.NewAuthority(name, time.Now(), valid)
			if err == nil {
				err = authority.Write(out, force)
			}
			if err != nil {
				return &exitcode.Error{Code: exitError, Err: fmt.Errorf("make the CA: %w", err)}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s/%s and %s, valid until %s\n", out, certs.CAFile, certs.CAKeyFile, authority.Expiry().UTC().Format(time.DateOnly))
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder for the files")
	cmd.Flags().StringVar(&name, "name", "StemeDB cluster CA", "the authority's name")
	cmd.Flags().BoolVar(&force, "force", false, "replace an authority that is there: certificates that it signed become worthless")
	days.flag(cmd, defaultCA)
	return requireFlags(cmd, "out")
}

func certsNodeCommand() *cobra.Command {
	var ca, out, name string
	var hosts []string
	var force bool
	var days validity
	cmd := &cobra.Command{
		Use:   "node --ca DIR --name NAME --host HOST --out DIR",
		Short: "Make a node's certificate: NAME.pem, NAME-key.pem and " + certs.CAFile,
		Long: `Make a node's certificate: NAME.pem, NAME-key.pem (mode 0600) and ` + certs.CAFile + `. --host is repeated for every host name and IP address by which
other nodes and clients reach the node. With --force it renews: a running node takes the new files without a restart.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			valid, err := days.duration()
			if err != nil {
				return err
			}
			authority, err := certs.OpenAuthority(ca)
			if err != nil {
				return &exitcode.Error{Code: exitError, Err: err}
			}
			node, err := authority.NewNode(name, hosts, time.Now(), valid)
			if err == nil {
				err = node.Write(out, force)
			}
			if err != nil {
				return &exitcode.Error{Code: exitError, Err: fmt.Errorf("make the certificate of %s: %w", name, err)}
			}
			cert, key, _ := node.Files(out)
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s and %s, valid until %s\n", cert, key, node.Expiry().UTC().Format(time.DateOnly))
			return err
		},
	}
	cmd.Flags().StringVar(&ca, "ca", "", "folder with "+certs.CAFile+" and "+certs.CAKeyFile)
	cmd.Flags().StringVar(&name, "name", "", "the node's name, which names the files")
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "host name or IP address of the node; repeat it for each")
	cmd.Flags().StringVar(&out, "out", "", "folder for the files")
	cmd.Flags().BoolVar(&force, "force", false, "replace a certificate and key that are there")
	days.flag(cmd, defaultNode)
	return requireFlags(cmd, "ca", "name", "host", "out")
}

// requireFlags makes flags obligatory.
func requireFlags(cmd *cobra.Command, names ...string) *cobra.Command {
	for _, name := range names {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // a flag that was never declared
		}
	}
	return cmd
}
