// Command cmd does a backup drill on clusters of its own and prints what it has
// found. It exits 0 only if nothing was lost, nothing is there that must not be,
// and writers did not have to wait more than allowed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/stemedb/stemedb/internal/backupdrill"
)

func main() {
	c := backupdrill.Config{Log: os.Stderr}
	flag.IntVar(&c.Claims, "claims", 500_000, "claims that are there before the load begins")
	flag.IntVar(&c.Writers, "writers", 4, "writers during the backups")
	flag.IntVar(&c.Rounds, "rounds", 5, "backups, each after as long a time without one")
	flag.IntVar(&c.Samples, "samples", 500, "random claims and questions that are compared")
	flag.StringVar(&c.BackupRate, "backup-rate", "", "the nodes' setting of that name")
	flag.DurationVar(&c.Quiet, "quiet", 3*time.Second, "shortest time without a backup")
	ratio := flag.Float64("max-ratio", 0, "fail if the p99 of writes during backups is more than so many times that without; 0: only report it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := backupdrill.Run(ctx, c)
	if err == nil {
		fmt.Print(r)
		if *ratio > 0 && r.Ratio() > *ratio {
			err = fmt.Errorf("a backup makes the p99 of writes %.2f times as long, more than %.2f times", r.Ratio(), *ratio)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "backup drill: FAILED:", err)
		stop()
		os.Exit(1)
	}
	fmt.Println("the restored cluster holds every claim up to the backup's index, none after it, and answers as the old one did")
}
