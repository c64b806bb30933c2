# `make` alone lists the targets.

VERSION  ?= 0.1.0-dev
COMMIT   ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
GO       ?= go
IMAGE    ?= stemedb:$(VERSION)
FUZZTIME ?= 5s

# Pinned, so that a new release of the linter cannot turn an old commit red.
GOLANGCI_VERSION := v2.15.0
GOLANGCI         := .cache/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint

MODULE   := github.com/stemedb/stemedb
COMMANDS := stemedb stemectl pharma-ingest load-test
LDFLAGS  := -s -w -X $(MODULE)/internal/version.number=$(VERSION) -X $(MODULE)/internal/version.commit=$(COMMIT)

# Rooms with goroutines of their own: what the race detector is for.
CONCURRENT := ./api/... ./auth/... ./client/... ./fsm/... ./index/... ./node/... ./sync/... ./transport/...
# Whole clusters: real ports, real disks, real processes.
CLUSTER    := ./node/... ./internal/clustertest/... ./cmd/...

# What holds a write to limits, in a profile.
LIMITS := api[.].*[.](authorize|openAccount|takeIn|judge|paidUp|settle)$$|stemedb/(auth|defense)[.]
# The client's part of that profile.
BENCH_CLIENT := BenchmarkWritesUnderLimits|http[.].*persistConn

.DEFAULT_GOAL := help
.PHONY: help build up up-docker demo test test-race test-cluster test-docker fuzz bench bench-all load-test readiness bench-reads bench-limits costs lens-bench lint vuln fmt docs rules image clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the static binaries into bin/
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./cmd/,$(COMMANDS))

up: build ## Run three nodes on loopback until Ctrl-C (HTTP 18180, 18190, 18200)
	bin/stemedb dev

up-docker: image ## Run docker-compose.yml: three nodes, HAProxy, Prometheus (https://localhost:18443)
	scripts/compose-secrets.sh
	if docker compose version >/dev/null 2>&1; then docker compose up -d; else docker-compose up -d; fi

demo: build ## Real claims into a real cluster: answers, a killed leader, nothing lost
	scripts/demo.sh

test: ## Run the whole test suite
	$(GO) vet ./...
	$(GO) test -timeout 20m ./...
	$(GO) test -tags stemedb_next_format ./fsm

test-race: ## Run the concurrent rooms' tests under the race detector
	$(GO) test -race -timeout 30m $(CONCURRENT)

test-cluster: ## Run the whole-cluster tests alone
	$(GO) test -count=1 -timeout 20m $(CLUSTER)

test-docker: image ## docker-compose.yml with images made here: ingest, ask, every fault of every node, upgrades; needs a Docker engine
	STEMEDB_IMAGE=$(IMAGE) scripts/test-docker.sh

fuzz: ## Run every fuzz target for FUZZTIME (5s)
	scripts/fuzz.sh $(FUZZTIME)

bench: ## Measure writes against three nodes with each log store, beside raft and that log store alone
	$(GO) run ./internal/clusterbench

bench-all: ## Writes, batches, reads, write gaps, and what 5,000,000 stored claims change: medians of 5 rounds, about an hour
	$(GO) run ./internal/clusterbench -only writes,batches,reads,gaps,stored -rounds 5

load-test: ## Load a three-node cluster for about 7 minutes; dated results in uat/production-readiness/results
	scripts/run-load-test.sh

readiness: ## Run the production-readiness checklist for about 10 minutes; a dated report in uat/production-readiness/results
	scripts/verify-production-readiness.sh

bench-reads: ## Answer one question by skeptic, consensus, layered with 1,000 and 1,000,000 claims
	$(GO) test -run '^$$' -bench '^BenchmarkReads$$' -timeout 20m ./index -million

bench-limits: ## Profile writes at 2,000 a second: what keys, quotas, breakers and the content defence take
	$(GO) test -run '^$$' -bench '^BenchmarkWritesUnderLimits$$' -benchtime 40000x -o bin/limits.test ./cmd/stemedb -limits-profile $(CURDIR)/bin/limits.prof
	@echo 'the server:'; $(GO) tool pprof -top -nodecount 1 -relative_percentages -ignore '$(BENCH_CLIENT)' bin/limits.test bin/limits.prof 2>/dev/null | grep Total
	@echo 'of it limits:'; $(GO) tool pprof -top -cum -nodecount 14 -relative_percentages -ignore '$(BENCH_CLIENT)' -show '$(LIMITS)' bin/limits.test bin/limits.prof 2>/dev/null | tail -n +5

costs: ## Print what operations cost in allocations, bytes, keys, log entries and syncs, beside the budgets
	@$(GO) test -v -count=1 -run '^TestCost' ./api ./assertion ./node ./fsm ./index | grep -E 'cost: |budgets.go|^(ok|FAIL)'

lens-bench: ## Hold every lens against claim sets with known answers (../shared/data)
	$(GO) run ./internal/lensbench/cmd

lint: $(GOLANGCI) ## Run go vet and golangci-lint
	$(GO) vet ./...
	$(GOLANGCI) run ./...

vuln: ## Look for known vulnerabilities that the code reaches
	scripts/govulncheck.sh

fmt: $(GOLANGCI) ## Format the code
	$(GOLANGCI) fmt ./...

docs: ## Check the documentation: links, settings, targets, and the examples by running them
	$(GO) test ./internal/doctest ./internal/tutorial
	$(GO) test -run 'Doc|Page|OpenSSL' ./api ./assertion ./internal/settings

rules: ## Check the alert rules by their unit tests, and the configurations of Prometheus, Alertmanager and HAProxy
	scripts/check-rules.sh

image: build ## Build the container image from the static binaries
	@mkdir -p bin/data
	docker build -f deploy/Dockerfile -t $(IMAGE) .

clean: ## Remove what was built and cached here
	rm -rf bin .cache

$(GOLANGCI):
	GOBIN=$(CURDIR)/$(dir $(GOLANGCI)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
