package node

import (
	"github.com/prometheus/client_golang/prometheus"
)

// What the two stores of a node, the raft log and the index in Pebble,
// tell of themselves.
var (
	descLogSize = prometheus.NewDesc("stemedb_log_store_size_bytes",
		"Size of the raft log's files. That of a boltdb log never shrinks by itself; the segments of a wal log count whole.", nil, nil)
	descLogFree = prometheus.NewDesc("stemedb_log_store_free_bytes",
		"Bytes of the raft log's file that are free for later entries. Of boltdb logs only.", nil, nil)
	descLogEntries = prometheus.NewDesc("stemedb_log_store_entries",
		"Entries in the raft log of this node. Snapshots let old ones go.", nil, nil)
	descLogWrites = prometheus.NewDesc("stemedb_log_store_page_writes_total",
		"Writes to the raft log's file since the node started, each of one or more pages. Of boltdb logs only.", nil, nil)

	descDisk = prometheus.NewDesc("stemedb_index_disk_bytes",
		"Bytes of disk that the local index uses, obsolete files that await deletion included.", nil, nil)
	descReadAmp = prometheus.NewDesc("stemedb_index_read_amplification",
		"Sorted runs that a point read of the local index may have to look at.", nil, nil)
	descMemTable = prometheus.NewDesc("stemedb_index_memtable_bytes",
		"Bytes of memory that the memtables of the local index take.", nil, nil)
	descCommits = prometheus.NewDesc("stemedb_index_commits_total",
		"Batches committed to the local index since the node started: each holds the log entries that raft handed over at once.", nil, nil)
	descFlushes = prometheus.NewDesc("stemedb_index_flushes_total",
		"Flushes of memtables of the local index to disk since the node started.", nil, nil)
	descCompactions = prometheus.NewDesc("stemedb_index_compactions_total",
		"Compactions of the local index since the node started.", nil, nil)
	descDebt = prometheus.NewDesc("stemedb_index_compaction_debt_bytes",
		"Estimate of the bytes that the local index has yet to compact.", nil, nil)
	descCache = prometheus.NewDesc("stemedb_index_block_cache_lookups_total",
		"Lookups in the block cache of the local index since the node started, by result: hit or miss.", []string{"result"}, nil)
)

func describeStores(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLogSize, descLogFree, descLogEntries, descLogWrites, descDisk, descReadAmp, descMemTable, descCommits, descFlushes, descCompactions, descDebt, descCache,
	} {
		ch <- d
	}
}

// collectStores reads the stores at scrape time. What cannot be read is left out.
func (n *Node) collectStores(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	if n.disk.err() != nil { // a look at the files may hang like the disk
		return
	}
	if size, err := n.logs.size(); err == nil {
		gauge(descLogSize, float64(size))
	}
	if entries, err := n.logs.Entries(); err == nil {
		gauge(descLogEntries, float64(entries))
	}
	if bolt := n.logs.bolt(); bolt != nil {
		log := bolt.Stats()
		gauge(descLogFree, float64(log.FreeAlloc))
		counter(descLogWrites, float64(log.TxStats.GetWrite()))
	}
	index := n.fsm.Metrics()
	if index == nil { // a snapshot is being installed
		return
	}
	gauge(descDisk, float64(index.DiskSpaceUsage()))
	gauge(descReadAmp, float64(index.ReadAmp()))
	gauge(descMemTable, float64(index.MemTable.Size))
	counter(descCommits, float64(n.fsm.Commits()))
	counter(descFlushes, float64(index.Flush.Count))
	counter(descCompactions, float64(index.Compact.Count))
	gauge(descDebt, float64(index.Compact.EstimatedDebt))
	counter(descCache, float64(index.BlockCache.Hits), "hit")
	counter(descCache, float64(index.BlockCache.Misses), "miss")
}
