// Command cmd prints the three figures of the flights evaluation, on a running
// cluster or on three nodes that it starts itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/flightseval"
	"github.com/stemedb/stemedb/internal/localcluster"
)

func main() {
	data := flag.String("data", "../shared/data/flights-small", "folder with dirty.csv and clean.csv")
	urls := flag.String("url", "", "nodes of a running cluster, separated by commas; default: start three")
	flag.Parse()
	if err := run(context.Background(), *data, *urls); err != nil {
		fmt.Fprintln(os.Stderr, "flights evaluation:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, data, urls string) error {
	keyring, err := os.MkdirTemp("", "stemedb-keys-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(keyring)
	nodes := strings.Split(urls, ",")
	if urls == "" {
		cluster, err := localcluster.Temporary(ctx, 3, nil)
		if err != nil {
			return err
		}
		defer cluster.Close()
		nodes = cluster.URLs()
	}
	c, err := client.New(nodes)
	if err != nil {
		return err
	}
	defer c.Close()
	result, err := flightseval.Run(ctx, data, keyring, c)
	if err != nil {
		return err
	}
	fmt.Print(result)
	return result.Check()
}
