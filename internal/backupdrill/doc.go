// Package backupdrill rehearses the loss of a whole cluster: it takes backups of a
// cluster under a running write load, restores the last one as a new cluster, and
// compares the two: digest, count, every claim of the load, random ones, and what
// lenses answer. It also measures: time and size of backup and restore, and what
// a backup costs writers.
package backupdrill
