# `make` alone lists the targets.
#
# Ports of `make up`, for example `make up HTTP_PORT=9090`:
# HTTP_PORT ADMIN_PORT BROKER_PORT MONITOR_PORT JETSTREAM_PORT POSTGRES_PORT
# and of `make observe` besides: PROMETHEUS_PORT GRAFANA_PORT
# `make up PROFILE=release` compiles with optimizations, as `make load` does.

CARGO ?= cargo
# Compiling with optimizations takes three times as long: only what measures waits for it.
PROFILE ?= dev
target := $(or $(CARGO_TARGET_DIR),target)
built = $(target)/$(PROFILE:dev=debug)
testbed = $(built)/testbed
# What runs can be stopped by whichever is there.
any_testbed := $(or $(firstword $(wildcard $(target)/debug/testbed $(target)/release/testbed)),$(target)/debug/testbed)
port = $(if $($(1)_PORT),--$(2)-port $($(1)_PORT))

.PHONY: help
help: ## List the targets
	@sed -n 's/^##@ \(.*\)/\n\1/p; s/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

##@ Run it here

# SOURCE=jetstream has orders come from a stream of a nats-server instead of the broker, SOURCE=both from either.
.PHONY: up
up: ## Start the service with its broker and Postgres under ./.waybill, and publish sample orders
	@scripts/install-tools $(if $(filter jetstream both,$(SOURCE)),--jetstream)
	$(CARGO) build --profile $(PROFILE) --locked -p waybill -p testbed
	@$(testbed) up --waybill $(built)/waybill $(if $(SOURCE),--source $(SOURCE)) \
	  $(call port,HTTP,http) $(call port,ADMIN,admin) $(call port,BROKER,broker) \
	  $(call port,MONITOR,monitor) $(call port,JETSTREAM,jetstream) $(call port,POSTGRES,postgres)

.PHONY: observe
observe: up ## Start Prometheus, and Grafana where it is installed, beside it
	@scripts/install-tools --observe
	@$(testbed) observe $(call port,ADMIN,admin) $(call port,PROMETHEUS,prometheus) $(call port,GRAFANA,grafana)

# URL=http://… loads another service, whose broker and database are those of ./waybill.toml and the environment; YES=1 does not ask before.
.PHONY: load
load: PROFILE = release
load: $(if $(URL),,up) ## Load it with wrk, vegeta and orders, and write a report into load/reports; takes 3 min
	@scripts/install-tools --load
	$(if $(URL),$(CARGO) build --release --locked -p waybill)
	@WAYBILL=$(abspath $(target))/release/waybill URL='$(URL)' YES='$(YES)' load/run

.PHONY: down
down: | $(any_testbed) ## Stop what `make up` and `make observe` started, and keep the data
	@$(any_testbed) down

.PHONY: logs
logs: ## Follow the logs of the service and its servers
	@tail -n 20 -F .waybill/log/waybill.log $(wildcard $(patsubst %,.waybill/log/%.log,broker jetstream postgres))

.PHONY: status
status: | $(any_testbed) ## Say what runs
	@$(any_testbed) status

.PHONY: clean-data
clean-data: | $(any_testbed) ## Stop everything and remove ./.waybill
	@$(any_testbed) clean-data

##@ What every change must pass

tools := .tools/cargo/bin

.PHONY: lint
lint: ## Check format, lints, docs, SQL, dependencies and that the fuzz targets build
	@scripts/install-tools --lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked
	@scripts/sqlx-prepare --check
	$(tools)/cargo-machete
	@scripts/deny
	$(CARGO) check --target-dir $(target)/fuzz --manifest-path crates/order/fuzz/Cargo.toml
	$(CARGO) check --target-dir $(target)/fuzz --manifest-path crates/stan/fuzz/Cargo.toml

# Whoever runs this in the background may have it ignore signals that tests send to what they start.
.PHONY: test
test: ## Run every test, against real servers that the tests start themselves
	@scripts/install-tools --chart
	@scripts/chart-check
	env --default-signal=HUP,INT $(CARGO) test --workspace --locked
	@if type valgrind >/dev/null 2>&1; then CARGO=$(CARGO) benches/guard --debug; \
	  else echo 'no instructions were counted, for valgrind is missing (apt-get install valgrind)'; fi

##@ Heavier proofs

# BINS are folders of other servers, for example BINS='/opt/pg14/bin /opt/pg18/bin'.
.PHONY: test-postgres
test-postgres: ## Run the tests of the store and those from end to end on each Postgres of the distribution; takes 2 min each
	@scripts/install-tools --chart
	@for bin in $(or $(BINS),$(wildcard /usr/lib/postgresql/*/bin)); do \
	  $$bin/postgres --version && \
	  PATH=$$bin:$$PATH $(CARGO) test --locked -p waybill --test it -- store:: end_to_end:: || exit 1; \
	done

# One after another: each is judged by what its process takes.
.PHONY: bounded
bounded: ## Show that memory stays bounded: floods, a 10 min outage, 5,000 connections; takes 20 min
	@scripts/install-tools
	WAYBILL_FULL_SIZE=1 $(CARGO) test --locked -p waybill --test it -- --nocapture --test-threads 1 bounded::

# Settings of `make chaos`: SOURCE (stan, jetstream, both), KILLS or ALONE (rounds of every fault by itself), SEED, ONLY (kinds of faults, separated by commas), REPORT (a file).
.PHONY: chaos
chaos: ## Make faults under load and check that nothing is lost or wrong, for example KILLS=1000 SEED=7
	@scripts/install-tools --chaos
	$(CARGO) test -p waybill --locked --test chaos -- $(if $(SOURCE),--source $(SOURCE)) $(if $(KILLS),--kills $(KILLS)) $(if $(ALONE),--alone $(ALONE)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(REPORT),--report $(REPORT))

.PHONY: mutants
mutants: ## Check that the chaos run notices each of the faults that are put into a copy of the service
	@scripts/install-tools --chaos
	@scripts/mutants

# Settings of `make power`: SOURCE (stan, jetstream, both), CUTS or ALONE (rounds of every cut by itself), SEED, ONLY (kinds of cuts), MUTANT (what does not sync, see `make power-mutants`), REPORT (a file).
.PHONY: power
power: ## Cut the power of servers whose disks lose what was not synced, for example CUTS=500 SEED=7; needs root
	@scripts/install-tools --jetstream
	$(CARGO) test -p waybill --locked --test chaos -- --power $(if $(SOURCE),--source $(SOURCE)) $(if $(CUTS),--kills $(CUTS)) $(if $(ALONE),--alone $(ALONE)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(MUTANT),--mutant $(MUTANT)) $(if $(REPORT),--report $(REPORT))

.PHONY: power-mutants
power-mutants: ## Check that cuts of the power find out each server that does not sync as it must
	@scripts/install-tools --jetstream
	@scripts/power-mutants

# bench-scale takes half an hour; bench-stress wants an older program, for example BEFORE=/tmp/waybill-0.1.
bench_parts := bench-lookup bench-access bench-ingest bench-ingest-stream bench-warmup bench-memory bench-size bench-isolation bench-scale bench-stress
.PHONY: bench $(bench_parts)
bench $(bench_parts) dashboards film: PROFILE = release
bench: ## Measure the service beside nginx, Redis, psql and stan.go; also by part, for example `make bench-lookup`
bench $(bench_parts): bench%:
	@scripts/install-tools --bench
	@scripts/install-tools --jetstream
	$(CARGO) build --release --locked -p waybill -p testbed --bins --example floor --example hitrate
	@WAYBILL=$(abspath $(target))/release/waybill FLOOR=$(abspath $(target))/release/examples/floor \
	  HITRATE=$(abspath $(target))/release/examples/hitrate $(if $(BEFORE),BEFORE=$(abspath $(BEFORE))) \
	  $(testbed) with-database benches/bench $(*:-%=%)

.PHONY: bench-plots
bench-plots: ## Draw what `make bench-scale` measured into docs
	@scripts/install-tools --plots
	@.tools/python/bin/python benches/plot

.PHONY: dashboards
dashboards: ## Draw dashboards/*.json into docs/dashboards, as they show a service under load; takes 5 min
	@scripts/install-tools --plots
	@scripts/install-tools --observe
	$(CARGO) build --release --locked -p waybill -p testbed
	@WAYBILL=$(abspath $(target))/release/waybill TESTBED=$(abspath $(testbed)) .tools/python/bin/python scripts/draw-dashboards

.PHONY: sbom
sbom: ## Write target/waybill.cdx.json, the SBOM of the program, and hold it against the program
	@scripts/install-tools --sbom
	PATH=$(CURDIR)/$(tools):$$PATH $(CARGO) auditable build --release --locked -p waybill
	@scripts/sbom $(target)/waybill.cdx.json
	@scripts/sbom --check $(target)/release/waybill $(target)/waybill.cdx.json

.PHONY: diagrams
diagrams: ## Draw docs/architecture.dot and docs/security.dot into pictures beside them
	@scripts/install-tools --diagrams
	for picture in architecture security; do dot -Tsvg docs/$$picture.dot -o docs/$$picture.svg || exit; done

# Needs the ports of `make up`, or those that are given as there.
.PHONY: film
film: ## Record docs/demo.webm and docs/demo.webp: the page in use, from scripts/film; takes 3 min
	@scripts/install-tools --film
	$(CARGO) build --release --locked -p waybill -p testbed
	@CARGO='$(CARGO)' TARGET=$(abspath $(target)) scripts/record-film

.PHONY: bench-guard
bench-guard: ## Count the instructions of single operations, and fail where they are more than benches/limits.json says
	@CARGO=$(CARGO) benches/guard

.PHONY: compose-test
compose-test: ## Bring up compose.yaml with Docker, under a name and ports of its own
	@scripts/compose-test

.PHONY: cluster-test
cluster-test: ## Prove the chart on the cluster of KUBECONFIG with IMAGE, which must be on its nodes
	@scripts/cluster-test $(or $(IMAGE),$(error say which image: make cluster-test IMAGE=waybill:0.1.0))


# Only when it is missing: what is running must be stoppable while the code does not compile.
$(any_testbed):
	$(CARGO) build --locked -p testbed
