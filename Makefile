# `make` lists the targets. Each does its own set-up (Debian packages, Kubernetes binaries) and says what it does.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Lets clones in other places share compiled objects.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
IMAGE ?= docker.io/understudy/understudy:0.1.0
CLUSTER := deploy/local/cluster

.PHONY: help build image cluster install demo test unit simulation tsan instructions e2e bench compat interop differential failover-report switchover-report chaos format style golden-update clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## release binaries in build/bin
	@cmake/install-deps build
	@cmake --preset release >/dev/null
	@cmake --build --preset release
	@ln -sfn release/bin build/bin
	@echo "built: build/bin/understudy-node build/bin/understudy-operator"

cluster: ## a local three-zone Kubernetes (deploy/local/cluster up)
	@$(CLUSTER) up

image: cluster ## the image from the Dockerfile, onto the local nodes
	@deploy/local/image $(IMAGE)

install: image ## the chart on the local cluster
	@deploy/local/install $(IMAGE)

demo: ## from nothing to a failover on a local Kubernetes, shown step by step
	@deploy/local/demo $(IMAGE)

test: ## everything that CI runs: unit, sanitizers, style, and end to end on the local Kubernetes
	@tests/run

unit: ## unit and scenario tests, under AddressSanitizer and UndefinedBehaviorSanitizer
	@tests/run unit

simulation: ## the failover code and the planner against random faults and edits, long (UNDERSTUDY_SEEDS=1000: more seeds)
	@tests/run simulation

tsan: ## the threaded tests under ThreadSanitizer
	@tests/run tsan

instructions: ## instructions of the node's hot commands against their bounds (UPDATE=1 rewrites those)
	@tests/run instructions

e2e: ## end-to-end tests on the local Kubernetes only
	@tests/run e2e

style: ## include order, file sizes, no clock in pure folders
	@tests/run style

bench: ## the node beside Valkey and Redis, written to docs/benchmarks.md; 110 minutes (SHORT=1: 3 minutes, ROUNDS=5)
	@cmake/install-deps test
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target understudy-node understudy-load store_bench
	@tests/bench/bench

compat: ## suites that nobody here wrote against the node and against Valkey, written to docs/compatibility.md; an hour and a half (SUITES=tcl FILES=unit/type/hash)
	@cmake/install-deps test
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target understudy-node
	@tests/compat/compat

interop: ## client libraries and tools that nobody here wrote against the node, written to docs/compatibility-clients.md; 10 minutes (CLIENTS=redis-py,jedis)
	@cmake/install-deps test
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target understudy-node
	@tests/interop/interop

differential: ## random commands to the node, Valkey and two versions of Redis, each reply compared (COUNT=1000000 SEED=1 FAMILIES=hashes,lists PEERS=redis-7.0)
	@cmake/install-deps test
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target understudy-node
	@tests/differential/differential

failover-report: ## measured failovers on the local Kubernetes, written to docs/failover-report.md (RUNS=20)
	@tests/cluster/failover_report

switchover-report: ## measured switchovers on the local Kubernetes, written to docs/switchover-report.md (RUNS=50)
	@tests/cluster/switchover_report

chaos: ## random edits and faults on the local Kubernetes, each node's data checked after each (EDITS=100 SEED=1)
	@tests/cluster/random_edits

golden-update: ## rewrite the golden files; look at the diff
	@cmake/install-deps test
	@cmake --preset dev >/dev/null && cmake --build --preset dev --target operator_manifests_test operator_plan_test
	@UPDATE_GOLDEN=1 build/dev/bin/operator_manifests_test && UPDATE_GOLDEN=1 build/dev/bin/operator_plan_test

format: ## clang-format over all sources
	@clang-format-19 -i $$(git ls-files '*.h' '*.cc')

clean: ## remove build/ (the Kubernetes binaries are cached elsewhere and stay)
	@rm -rf build
