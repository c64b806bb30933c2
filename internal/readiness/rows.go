package readiness

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The areas of the checklist, in the order of the page.
const (
	areaRecovery      = "Crash recovery"
	areaSignatures    = "Signature verification"
	areaPipeline      = "End-to-end pipeline"
	areaLoad          = "Load testing"
	areaSecurity      = "API security"
	areaBackup        = "Backup and restore"
	areaObservability = "Observability"
)

var areas = []string{areaRecovery, areaSignatures, areaPipeline, areaLoad, areaSecurity, areaBackup, areaObservability}

// Row is one line of the checklist.
type Row struct {
	// Name is what --row takes.
	Name string
	Area string
	// Shows is what has been seen when the row is green.
	Shows string
	// Room and Tests make a command of `go test`: each of the tests must run and
	// pass, none may be skipped. Without them Script is the command, for bash.
	Room   string
	Tests  []string
	Script string
	// Fault is what the row must notice.
	Fault fault
}

// load is how long a load lasts.
type load time.Duration

// shortest scenarios need no more than this to be judged.
const mostOfOthers = load(20 * time.Second)

// command is the row's command line, to be run at the root of the repository.
func (r *Row) command(d load) string {
	if len(r.Tests) > 0 {
		return fmt.Sprintf("go test -count=1 -v -timeout 10m -run '^(%s)$' ./%s", strings.Join(r.Tests, "|"), r.Room)
	}
	return strings.NewReplacer("{sustained}", time.Duration(d).String(), "{others}", time.Duration(min(d, mostOfOthers)).String()).Replace(r.Script)
}

const checks = "uat/production-readiness/checks/"

// Rows are the checklist.
func Rows() []Row {
	return slices.Concat(recoveryRows(), signatureRows(), pipelineRows(), loadRows(), securityRows(), backupRows(), observabilityRows())
}

func recoveryRows() []Row {
	return []Row{
		{Name: "wal-recovery", Area: areaRecovery,
			Shows: "the log brings back the state after a crash at every disk operation and after SIGKILL on a real disk",
			Room:  "fsm", Tests: []string{"TestP0CrashRecoveryAtEveryDiskOperation", "TestP0CrashRecoveryNeedsSync", "TestP0CrashRecoveryWithinInstall", "TestCrashRecoveryWithoutSnapshot", "TestCrashRecoveryAfterKills"},
			Fault: fault{"a snapshot counts before what it holds is on the disk", []edit{{"index/db.go",
				"func (d *DB) Checkpoint(dir string) error {\n\tif err := d.Flush(); err != nil {",
				"func (d *DB) Checkpoint(dir string) error {\n\tif err := d.Err(); err != nil {"}}, "--- FAIL: Test"}},
		{Name: "cluster-kill", Area: areaRecovery,
			Shows: "a leader killed during ingestion, and all nodes killed at once, lose no acknowledged claim",
			Room:  "internal/clustertest", Tests: []string{"TestALeaderKilledDuringIngestionLosesNothing", "TestAllNodesKilledAtOnce"},
			Fault: fault{"a third of the log is gone after a restart", []edit{logShort}, "--- FAIL: TestAllNodesKilledAtOnce"}},
		{Name: "no-duplicates", Area: areaRecovery,
			Shows:  "claims that are sent again, before and after kill -9, are there once",
			Script: checks + "duplicates.sh",
			Fault: fault{"the index does not look whether it has a claim", []edit{{"index/batch.go",
				"\traw, err := b.seek(hashKey(h))\n\tif err == nil {\n\t\tat",
				"\traw, err := b.seek(hashKey(h))\n\terr = pebble.ErrNotFound\n\tif err == nil {\n\t\tat"}}, "FAILED: claims that were there the second time"}},
		{Name: "apply-cursor", Area: areaRecovery,
			Shows: "the applied index moves together with the data, and entries up to it have no second effect",
			Room:  "fsm", Tests: []string{"TestCursorMovesWithData", "TestCursorSkipsWhatWasApplied", "TestCursorAfterRestoreIsTheSnapshots"},
			Fault: fault{"entries are applied again", []edit{{"fsm/apply.go", "if log.Index <= batch.Applied().Index {", "if log.Index == 0 {"}}, "--- FAIL: TestCursorSkipsWhatWasApplied"}},
		{Name: "restart", Area: areaRecovery,
			Shows:  "after kill -9 a node has the same count, digest and answers",
			Script: checks + "restart.sh",
			Fault:  fault{"a third of the log is gone after a restart", []edit{logShort}, "after kill -9 is"}},
	}
}

// logShort loses the end of the log when it is opened, as if it had not been synced.
var logShort = edit{"node/logstore.go", "\tif err := store.seedSizes(); err != nil {\n",
	"\tif last, err := store.LastIndex(); err == nil && last > 3 {\n\t\t_ = store.DeleteRange(last-last/3, last)\n\t}\n\tif err := store.seedSizes(); err != nil {\n"}

func signatureRows() []Row {
	return []Row{
		{Name: "signature-v2", Area: areaSignatures,
			Shows: "version 2 signs the content hash, by the published vectors; a changed bit breaks it; OpenSSL makes the same",
			Room:  "assertion", Tests: []string{"TestVectors", "TestVectorsByHand", "TestVerifyBatchEqualsVerify", "TestOneChangedBitBreaksSignature", "TestSigningDocExample", "TestSigningScriptSigns"},
			Fault: fault{"the signature does not cover the last byte of the hash", []edit{{"assertion/sign.go", "return hash[:]", "return hash[:31]"}}, "--- FAIL: TestVectors"}},
		{Name: "signature-v1", Area: areaSignatures,
			Shows: "version 1 is refused unless the operator admits it, and is then marked",
			Room:  "api", Tests: []string{"TestIngestAssertionV1"},
			Fault: fault{"version 1 is always admitted", []edit{{"assertion/sign.go", "case s.Version == SignatureV1 && !o.AcceptV1:", "case s.Version == SignatureV1 && len(a.Signatures) == 0:"}}, "--- FAIL: TestIngestAssertionV1"}},
		{Name: "invalid-refused", Area: areaSignatures,
			Shows: "a claim with any bad signature is refused whole, alone and in a batch",
			Room:  "api", Tests: []string{"TestRejectsUnsigned", "TestBatchLinesAreIndependent", "TestRejectsInvalid", "TestRejectsInvalidBatch"},
			Fault: fault{"the verdict on a signature is ignored", []edit{{"assertion/verify.go", "if !valid[n] && verdicts[origin.assertion] == nil {", "if !valid[n] && n < 0 {"}}, "--- FAIL: TestBatchLinesAreIndependent"}},
		{Name: "unsigned-refused", Area: areaSignatures,
			Shows: "an unsigned claim is refused",
			Room:  "api", Tests: []string{"TestRejectsUnsigned"},
			Fault: fault{"no signature is needed", []edit{{"assertion/sign.go", "if len(a.Signatures) == 0 {", "if a.Signatures == nil && a.Predicate == \"\" {"}}, "--- FAIL: TestRejectsUnsigned"}},
	}
}

func pipelineRows() []Row {
	return []Row{
		{Name: "port", Area: areaPipeline,
			Shows:  "`stemedb serve` with a data folder alone answers on 127.0.0.1:18180",
			Script: checks + "port.sh",
			Fault:  fault{"another default port", []edit{{"internal/settings/declarations.go", `Default: "127.0.0.1:18180"`, `Default: "127.0.0.1:18170"`}}, "FAILED: nothing answers on 127.0.0.1:18180"}},
		{Name: "ingest", Area: areaPipeline,
			Shows:  "claims signed by stemectl and by OpenSSL are stored and read back by their hashes",
			Script: checks + "ingest.sh",
			Fault:  fault{"claims are stored under another hash", []edit{{"index/batch.go", "b.recall.Set(hashKey(c.Hash), s.seq[:], nil)", "b.recall.Set(hashKey(c.SourceHash), s.seq[:], nil)"}}, "FAILED: GET /v1/assertions/"}},
		{Name: "query", Area: areaPipeline,
			Shows:  "GET /v1/query finds what it is asked for, and resolves it by a lens",
			Script: checks + "query.sh",
			Fault:  fault{"claims are filed under no subject", []edit{{"index/batch.go", "key(spaceQuestion, question(c.Subject, c.Predicate), o[:]),", `key(spaceQuestion, question("", c.Predicate), o[:]),`}}, "FAILED: its nausea rates"}},
		{Name: "skeptic", Area: areaPipeline,
			Shows:  "GET /v1/skeptic tells unanimous from contested",
			Script: checks + "skeptic.sh",
			Fault:  fault{"the conflict of one value alone is scored", []edit{{"lens/skeptic.go", "assertion.ConflictScore(shares)", "assertion.ConflictScore(shares[:1])"}}, "FAILED: the status of two values"}},
		{Name: "health", Area: areaPipeline,
			Shows:  "GET /v1/health counts the claims; /livez and /readyz answer",
			Script: checks + "health.sh",
			Fault:  fault{"each claim counts twice", []edit{{"index/batch.go", "\tb.head.count++\n", "\tb.head.count += 2\n"}}, "FAILED: the number of claims"}},
	}
}

func loadRows() []Row {
	const run = "LOAD_TEST_DURATION={sustained} scripts/run-load-test.sh --scenario "
	return []Row{
		{Name: "load", Area: areaLoad,
			Shows:  "every scenario but failover meets its targets, and every acknowledged claim is read back",
			Script: run + "baseline,sustained,concurrent,mixed,hotspot --duration {others}",
			Fault: fault{"the node stalls for 0.6 s of every 3 s", []edit{{"node/batcher.go", "\t\treply := b.commit(group)\n",
				"\t\tfor time.Now().UnixMilli()%3000 < 600 {\n\t\t\ttime.Sleep(10 * time.Millisecond)\n\t\t}\n\t\treply := b.commit(group)\n"}}, "targets were missed"}},
		{Name: "load-failover", Area: areaLoad,
			Shows:  "writes go on within 1.2 s of the leader's death under load, and every node has every claim",
			Script: "LOAD_TEST_DURATION={others} scripts/run-load-test.sh --scenario failover",
			Fault: fault{"followers take no notice that the leader has ended, and wait for 5 s", []edit{
				{"internal/settings/declarations.go", `{Name: "raft-heartbeat-timeout", Default: d.HeartbeatTimeout.String()`, `{Name: "raft-heartbeat-timeout", Default: "5s"`},
				{"internal/settings/declarations.go", `{Name: "raft-election-timeout", Default: d.ElectionTimeout.String()`, `{Name: "raft-election-timeout", Default: "5s"`},
			}, "targets were missed"}},
	}
}

func securityRows() []Row {
	return []Row{
		{Name: "api-keys", Area: areaSecurity,
			Shows: "every route by every kind of key, on leader and follower, gets what the table of roles says",
			Room:  "internal/clustertest", Tests: []string{"TestEveryRouteByEveryKindOfKey", "TestKeysOnEveryNode"},
			Fault: fault{"roles are not looked at", []edit{{"api/authorize.go", "if !demand.Permits(key.Role) {", "if key == nil {"}}, "--- FAIL: TestEveryRouteByEveryKindOfKey"}},
		{Name: "api-limits", Area: areaSecurity,
			Shows: "quotas, rates of keys, proofs of work and circuit breakers refuse what is too much",
			Room:  "api", Tests: []string{"TestQuotaOfAnAgent", "TestKeyRate", "TestProofOfWork", "TestBreakerOfAKey"},
			Fault: fault{"quotas are told and not kept", []edit{{"api/limits.go", "\tif ok {\n\t\treturn at, nil\n\t}\n\ts.metrics.refusals.WithLabelValues(refusedByQuota)", "\tif ok || quota.Limit > 0 {\n\t\treturn at, nil\n\t}\n\ts.metrics.refusals.WithLabelValues(refusedByQuota)"}}, "--- FAIL: TestQuotaOfAnAgent"}},
		{Name: "api-hardening", Area: areaSecurity,
			Shows: "slow clients are cut; large, deep and unknown requests are refused, and what is left of them is read only within bounds",
			Room:  "api", Tests: []string{"TestSlowClientsAreCut", "TestLargeRequestsAreRefusedEarly", "TestDeepAndUnknownJSONIsRefused", "TestBodiesThatAreSentBeforeTheAnswerIsRead", "TestIdleConnectionsDoNotKeepOthersOut"},
			Fault: fault{"bodies are as long as they like", []edit{
				{"api/body.go", "if r.ContentLength > limit {", "if limit < 0 {"},
				{"api/body.go", "r.Body, limit))", "r.Body, limit<<20))"},
			}, "--- FAIL: TestLargeRequestsAreRefusedEarly"}},
		{Name: "tls", Area: areaSecurity,
			Shows: "HTTPS and mutual TLS keep strangers out; without keys a node does not listen beyond loopback; secrets are shown nowhere",
			Room:  "cmd/stemedb", Tests: []string{"TestAClusterWithTheCertificatesOfTheCommand", "TestWrongCommandLinesAreExplained", "TestSecretsStaySecret"},
			Fault: fault{"nodes let in who has no certificate", []edit{{"transport/tls.go", "tls.RequireAndVerifyClientCert", "tls.VerifyClientCertIfGiven"}}, "--- FAIL: TestAClusterWithTheCertificatesOfTheCommand"}},
	}
}

func backupRows() []Row {
	return []Row{
		{Name: "backup-drill", Area: areaBackup,
			Shows:  "backups under load, restored as a new cluster, hold every claim up to their index, none after it, and answer as before",
			Script: "scripts/backup-drill.sh --claims 20000 --rounds 2 --samples 200",
			Fault: fault{"the count in the index is one too small", []edit{{"index/head.go",
				"binary.BigEndian.AppendUint64(nil, h.count), nil)", "binary.BigEndian.AppendUint64(nil, max(h.count, 1)-1), nil)"}}, "the backup counts"}},
		{Name: "backup-damage", Area: areaBackup,
			Shows: "every damaged, missing, strange or unfinished file of a backup is found, and encrypted ones need the key",
			Room:  "backup", Tests: []string{"TestEveryDamageIsFound", "TestEverySingleBitMatters", "TestNothingUnfinishedIsABackup", "TestEncryptedBackupsNeedTheKey"},
			Fault: fault{"checksums are not compared", []edit{
				{"backup/segment.go", "if frameSum(head, frame, lengths, rest[:stored]) != sum {", "if frameSum(head, frame, lengths, rest[:stored]) != sum && frame < 0 {"},
				{"backup/read.go", "|| blake3.Sum256(file) != listed.BLAKE3 {", "|| blake3.Sum256(nil) == listed.BLAKE3 {"},
			}, "--- FAIL: TestEverySingleBitMatters"}},
	}
}

func observabilityRows() []Row {
	return []Row{
		{Name: "metrics", Area: areaObservability,
			Shows: "each metric of a cluster has the value that the test itself has counted, through faults",
			Room:  "internal/clustertest", Tests: []string{"TestMetrics"},
			Fault: fault{"claims that are taken in count twice", []edit{{"api/write.go", "s.metrics.ingested.Add(float64(stored))", "s.metrics.ingested.Add(2 * float64(stored))"}}, "--- FAIL: TestMetrics"}},
		{Name: "dashboards", Area: areaObservability,
			Shows: "panels and alerts name metrics and labels that a real cluster shows",
			Room:  "internal/dashboards", Tests: []string{"TestSchema", "TestQueriesNameWhatNodesShow"},
			Fault: fault{"a panel asks for a metric that does not exist", []edit{{"docs/grafana/stemedb-overview.json", "max(stemedb_assertions_total{", "max(stemedb_claims_total{"}}, "--- FAIL: TestQueriesNameWhatNodesShow"}},
		{Name: "alerts", Area: areaObservability,
			Shows:  "alert rules pass their unit tests; Prometheus, Alertmanager and HAProxy accept their configurations",
			Script: "scripts/check-rules.sh",
			Fault:  fault{"an alert compares with the wrong number", []edit{{"deploy/prometheus/rules.yml", `up{job="stemedb"} == 0`, `up{job="stemedb"} == 2`}}, "StemedbNodeDown"}},
		{Name: "runbooks", Area: areaObservability,
			Shows: "every alert has a runbook and a unit test, and every runbook an alert",
			Room:  "internal/dashboards", Tests: []string{"TestEveryAlertHasARunbookAndATest"},
			Fault: fault{"an alert leads to a page that does not exist", []edit{{"deploy/prometheus/rules.yml", "runbook: docs/runbooks/node-down.md", "runbook: docs/runbooks/node-away.md"}}, "--- FAIL: TestEveryAlertHasARunbookAndATest"}},
		{Name: "tracing", Area: areaObservability,
			Shows: "one trace leads from the client through follower, leader, log and back to a collector; without one requests go on",
			Room:  "internal/clustertest", Tests: []string{"TestOneTraceThroughTheCluster", "TestRequestsGoOnWithoutACollector"},
			Fault: fault{"the apply step has no span", []edit{{"node/trace.go", `n.startSteps("apply"`, `n.startSteps("commit"`}}, "--- FAIL: TestOneTraceThroughTheCluster"}},
	}
}
