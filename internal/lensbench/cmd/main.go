// Command lensbench prints how every lens does on claim sets with known answers.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stemedb/stemedb/internal/lensbench"
)

func main() {
	data := flag.String("data", filepath.Join("..", "shared", "data"), "the folder of the claim sets")
	flag.Parse()
	if _, err := os.Stat(*data); err != nil {
		fmt.Printf("skipped: the claim sets are not at %s (--data names another folder)\n", *data)
		return
	}
	if err := run(*data); err != nil {
		fmt.Fprintln(os.Stderr, "lensbench:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	flights, err := lensbench.Flights(folder)
	if err != nil {
		return err
	}
	others, err := lensbench.Flights(folder, "aa", "ua", "CO") // the origin of the right answers
	if err != nil {
		return err
	}
	evidence, err := lensbench.Evidence(folder)
	if err != nil {
		return err
	}
	interactions, err := lensbench.Interactions(folder)
	if err != nil {
		return err
	}
	for _, d := range []*lensbench.Dataset{flights, others, evidence, interactions} {
		if err := d.Report(os.Stdout); err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
	}
	return interactions.Agreement(os.Stdout, 6)
}
