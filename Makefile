# `make help` lists the targets.
# You need Rust (rustup), cc, make and Python 3.10 or newer. Everything else is installed into .tools, pinned by hash.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Each recipe is one script, so that its lines share variables.
.ONESHELL:

STACK ?= snapback
ARCH ?= arm64
# The S3 bucket for `make deploy`.
BUCKET ?=
# CloudFormation parameters for `make deploy`. Parameters that are not given stay as they are. For example:
#   make deploy BUCKET=b PARAMETERS="Prefix=chaos TargetLimit=5"
PARAMETERS ?=
# Tags of the stack, for `make deploy`, which CloudFormation gives to its resources. Tags that are not given stay. For example:
#   make deploy BUCKET=b TAGS="team=platform cost-center=42"
TAGS ?=
# The experiment's file for `make deploy-fis`.
EXPERIMENT ?=
# The number of random histories for `make soak`. SEED=s plays and prints that one.
SEEDS ?= 100000
SEED ?=

# `make bench LONG=1` sends a million invocations through the proxy instead of a tenth of that.
LONG ?=
# Seconds for each target of `make fuzz`.
FUZZ_SECONDS ?= 60

# The only demo that `make lab` runs, 1 to 6; by default all. VERBOSE=1 prints each compared field.
DEMO ?=
VERBOSE ?=

# How often `make steady` runs the lab and the stack tests.
LABS ?= 30
STACKS ?= 10

# `make mutants` changes some files instead of all (FILES=src/plan/restore.rs), or one part of them (SHARD=0/4).
FILES ?=
SHARD ?=

CARGO ?= cargo
# The simulated world needs no SDK. Its profile optimizes it, because it plays many histories.
SOAK := $(CARGO) run --quiet --profile sim --locked --no-default-features --features testing --bin soak --
# The seeds that are new at every commit are derived from this: the commit, or a checksum of the sources without git.
SOURCES = $(or $(addprefix commit ,$(shell git ls-files --error-unmatch Makefile >/dev/null 2>&1 && git rev-parse HEAD)),\
  the sources outside of git with the checksum $(shell LC_ALL=C find src -name '*.rs' | LC_ALL=C sort | xargs cat | cksum))
HOST_ARCH := $(patsubst aarch64,arm64,$(patsubst amd64,x86_64,$(shell uname -m)))
# The benchmark is built for the proxy's target, so that both have the same libc.
MUSL := $(patsubst arm64,aarch64,$(HOST_ARCH))-unknown-linux-musl
# The tests that need SDKs or the proxy. They and the lab's binaries have one target and one profile.
ALL_TESTS := --all-features --lib --test proxy --test runtimes --test stack
LAYER_BINARIES := $(or $(CARGO_TARGET_DIR),target)/$(MUSL)/layer
# The AWS command line in the virtual environment; AWS=aws uses the machine's.
AWS ?= .tools/venv/bin/aws
export AWS
CYCLONEDX_VERSION := 0.5.9
CYCLONEDX := .tools/cargo-cyclonedx-$(CYCLONEDX_VERSION)/bin/cargo-cyclonedx
MUTANTS_VERSION := 27.1.0
MUTANTS := .tools/cargo-mutants-$(MUTANTS_VERSION)/bin/cargo-mutants
# All architectures share one path for the package, so building and deploying must not run in parallel.
.NOTPARALLEL:

.PHONY: help
help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	echo "  variables  STACK=$(STACK) ARCH=$(ARCH) BUCKET=... PARAMETERS=\"Key=value ...\" TAGS=\"Key=value ...\""

.PHONY: build
build: machine ## build the command line, the proxy's layers and the lab's package; install the lab's tools
	@# The tools mostly wait for the network, while the build needs the processor. If the build fails, they still end first.
	infra/tools/install.sh lab & lab=$$!
	# One after another: some of the others use what the first has installed.
	(for group in runtimes $(TEST_TOOLS); do infra/tools/install.sh "$$group"; done) & others=$$!
	trap wait EXIT
	python3 infra/layer.py
	python3 infra/package.py --lab $(HOST_ARCH) $(WITH_TESTS)
	wait $$lab
	wait $$others

# Before a build that takes minutes, one sentence says what this machine lacks.
.PHONY: machine
machine:
	@infra/tools/check-machine.sh

.PHONY: cli
cli: ## build the command line alone: target/release/snapback
	@python3 infra/package.py --cli

.PHONY: layer
layer: ## build the layers: the fault proxy with its shim for both architectures, and the chaos handler, in target/layer
	@python3 infra/layer.py

.PHONY: package
package: layer ## build target/package/bootstrap.zip for ARCH (arm64 or x86_64), and the proxy's layers
	@python3 infra/package.py $(ARCH)

# An array keeps values with blanks whole; without globs, a * stays a *.
define parameters
set -f
parameters=(Architecture=$(ARCH) $(PARAMETERS) --tags $(TAGS))
endef

.PHONY: deploy
deploy: good-parameters package cli ## package and deploy the stack STACK through the S3 bucket BUCKET
	@$(parameters)
	.tools/venv/bin/python infra/deploy.py $(STACK) $(BUCKET) "$${parameters[@]}"

# Checks the parameters before a build that takes minutes.
.PHONY: good-parameters
good-parameters: need-bucket no-schedule tools-lab
	@$(parameters)
	.tools/venv/bin/python infra/deploy.py --check $(STACK) $(BUCKET) "$${parameters[@]}"

# STACK is the snapback stack; the new stack is STACK-fis.
.PHONY: deploy-fis
deploy-fis: good-fis-parameters cli ## deploy infra/fis.yaml beside the stack STACK: run experiments from AWS FIS (docs/fis.md)
	@set -f
	.tools/venv/bin/python infra/deploy_fis.py $(STACK) "$(EXPERIMENT)" $(PARAMETERS)

# Checks the parameters before a build that takes minutes.
.PHONY: good-fis-parameters
good-fis-parameters: tools-lab
	@set -f
	.tools/venv/bin/python infra/deploy_fis.py --check $(STACK) "$(EXPERIMENT)" $(PARAMETERS)

.PHONY: destroy
destroy: tools-lab cli ## delete the stack STACK unless a target is armed; the ledger is retained
	@python3 infra/destroy.py $(STACK)

.PHONY: lab
lab: good-demo build ## run the six demos on an emulator, without an AWS account; DEMO=3 runs one, VERBOSE=1 prints every field
	.tools/venv/bin/python infra/lab/lab.py run $(if $(DEMO),--demo $(DEMO)) $(if $(VERBOSE),--verbose)

# Checks the number before a build that takes minutes.
.PHONY: good-demo
good-demo:
	@[[ "$${DEMO:-}" =~ ^[1-6]?$$ ]] || { echo "make lab: DEMO=$$DEMO: there is no such demo; write 1, 2, 3, 4, 5 or 6" >&2; exit 2; }

.PHONY: recording
recording: build ## run the lab on a terminal, and draw its output for the README: infra/lab/recording.svg
	typescript=$$(mktemp)
	trap 'rm -f "$$typescript"' EXIT
	script -qec '.tools/venv/bin/python infra/lab/lab.py run' "$$typescript"
	.tools/venv/bin/python infra/lab/recording.py "$$typescript" >target/recording.svg
	mv target/recording.svg infra/lab/recording.svg

.PHONY: lab-up
lab-up: build ## start the lab and leave it running
	.tools/venv/bin/python infra/lab/lab.py up

.PHONY: lab-down
lab-down: tools-lab ## stop the lab that lab-up has started
	.tools/venv/bin/python infra/lab/lab.py down

.PHONY: test
# They are variables of the target and of what the target needs: `build` builds and installs more.
test: WITH_TESTS := $(ALL_TESTS)
test: TEST_TOOLS := browser cdk chaos clients ledger versions
test: validate build chromium ruby ## everything: validators, cargo test, and the lab from end to end
	.tools/venv/bin/python -m unittest discover -s infra/lab
	.tools/venv/bin/python -m unittest discover -s infra
	.tools/venv/bin/python -m unittest discover -s tests/handler
	.tools/clients/bin/python -m unittest discover -s tests/dependency
	$(CARGO) test --locked --package snapback-shim
	.tools/chaos/bin/python -m unittest discover -s infra/chaostoolkit-snapback/tests
	# The decisions and the simulated world must build without any SDK.
	$(CARGO) test --locked --no-default-features --features testing
	$(SOAK) --seeds 20000
	$(SOAK) --seeds 20000 --of "$(SOURCES)"
	$(SOAK) --weakenings 20000
	$(SOAK) --crashes
	# Everything that the run without SDKs has not tested.
	$(CARGO) test --locked --profile lab --target $(MUSL) $(ALL_TESTS)
	# These tests have written the sample pages.
	.tools/browser/bin/node infra/browser.mjs target/pages/*.html
	# The lab at the end runs what is deployed: the package as it is optimized for that.
	@python3 infra/package.py $(HOST_ARCH)
	.tools/venv/bin/python infra/lab/lab.py run </dev/null 2>&1 | cat

.PHONY: browser
browser: tools-browser chromium ## open sample reports in a real browser, light, dark and on a phone; pictures in target/pages
	$(CARGO) test --quiet --locked --all-features --lib -- cli::evidence page::
	.tools/browser/bin/node infra/browser.mjs --pictures target/pages target/pages/*.html

.PHONY: picture
picture: lab tools-browser chromium ## run the lab, and draw the report of demo 1 for the README: infra/lab/report.png
	.tools/browser/bin/node infra/browser.mjs --picture infra/lab/report.png target/lab-report.html

# Debian's package. CHROMIUM names another browser.
.PHONY: chromium
chromium:
	@[ -x "$${CHROMIUM:-/usr/bin/chromium}" ] && exit
	echo "installing chromium"
	{ apt-get update && apt-get install --yes --no-install-recommends chromium; } >/dev/null 2>&1 \
	  || { echo "the browser test needs chromium: apt-get install chromium, or CHROMIUM=/path/to/it" >&2; exit 1; }

# Debian's package. Without it, the clients of Ruby are not tested.
.PHONY: ruby
ruby:
	@command -v ruby >/dev/null && exit
	echo "installing ruby"
	{ apt-get update && apt-get install --yes --no-install-recommends ruby; } >/dev/null 2>&1 \
	  || echo "ruby cannot be installed, so tests/dependency will leave its clients out"

.PHONY: steady
steady: build ## run the lab LABS times and the stack tests STACKS times, next to two busy loops; stop at a failure
	@python3 infra/steady.py $(LABS) $(STACKS)

.PHONY: soak
soak: ## play SEEDS random histories in the simulated world, or print the one of SEED
	$(SOAK) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

.PHONY: bench
bench: build ## measure bootstrap and fault proxy: size, start, and the proxy's cost per invocation; LONG=1
	python3 infra/package.py $(HOST_ARCH)
	python3 infra/bench/start.py
	$(CARGO) build --profile layer --locked --target $(MUSL) --no-default-features --features bench --bin bench-proxy
	$(LAYER_BINARIES)/bench-proxy $(LAYER_BINARIES)/snapback-proxy $(if $(LONG),--long)
	python3 infra/bench/handler/speed.py
	.tools/venv/bin/python infra/bench/dependency/speed.py $(abspath $(LAYER_BINARIES)/bench-proxy)

.PHONY: fuzz
fuzz: ## fuzz the proxy: two targets, FUZZ_SECONDS each
	@infra/fuzz.sh $(FUZZ_SECONDS)

.PHONY: mutants
mutants: $(MUTANTS) ## mutation-test plan, steps and the proxy's pure part; narrow with FILES or SHARD
	@python3 infra/mutants.py --tool $(abspath $(MUTANTS)) $(if $(SHARD),--shard $(SHARD)) $(FILES)

# The path has the version, so another one is installed next to it. --locked pins the dependencies by hash.
$(MUTANTS):
	$(CARGO) install cargo-mutants --version $(MUTANTS_VERSION) --locked --root $(dir $(@D))

# The same steps as in .github/workflows/release.yml, except for macOS and for what only GitHub can do.
.PHONY: release
release: $(CYCLONEDX) ## build the files of a release for Linux in target/dist: command line, stack, bill of materials, checksums
	@CYCLONEDX=$(abspath $(CYCLONEDX)) python3 infra/release.py code linux sbom checksums

$(CYCLONEDX):
	$(CARGO) install cargo-cyclonedx --version $(CYCLONEDX_VERSION) --locked --root $(dir $(@D))

.PHONY: validate
validate: tools-validate ## check the template, the state machine, the files for pipelines and the style of the sources
	python3 infra/validate.py

.PHONY: style
style: ## check the style of the sources alone, in two seconds
	@python3 infra/style.py

.PHONY: schema
schema: cli ## print the JSON Schema of an experiment
	@target/release/snapback schema

.PHONY: clean
clean: ## remove everything that was built and installed
	$(CARGO) clean
	rm -rf .tools

# Earlier releases took one schedule here.
.PHONY: no-schedule
no-schedule:
	@if [[ "$(origin SCHEDULE)" == "command line" || ( -n "$(EXPERIMENT)" && "$(origin EXPERIMENT)" == "command line" ) ]]; then
		echo 'make deploy takes no SCHEDULE and no EXPERIMENT; use: snapback schedule add NAME experiment.yaml --rate "7 days"' >&2
		exit 2
	fi

.PHONY: need-bucket
need-bucket:
	@[ -n "$(BUCKET)" ] || { echo 'make deploy needs an S3 bucket for the package: make deploy BUCKET=my-bucket' >&2; exit 2; }

.PHONY: tools-browser tools-cdk tools-chaos tools-clients tools-lab tools-ledger tools-runtimes tools-validate tools-versions
tools-browser tools-cdk tools-chaos tools-clients tools-lab tools-ledger tools-runtimes tools-validate tools-versions: tools-%:
	@infra/tools/install.sh $*
