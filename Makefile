# The commands of this repository. `make` alone lists them; the work is in packaging/ and tests/run.
#
#   DATA=./data PORT=8080   where `make up` keeps its data, and the port (chosen once and kept when not given)
#   STORE=versitygw         the store that `make up` begins a new directory with; minio when not given
#   RENDERKEEP_MINIO=/path  a MinIO server to use instead of building the pinned one; so with RENDERKEEP_VERSITYGW

DATA ?= ./data
PORT ?=
STORE ?=

# Where rustup and Go install themselves, for shells that were not told.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin

.PHONY: help up test build check format schema install-up install-test install-postgres install-minio install-versitygw install-browser

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: install-up build ## Install what is missing, build, and run everything below ./data
	@exec target/release/renderkeep up --data $(DATA) $(if $(PORT),--port $(PORT)) $(if $(STORE),--store $(STORE))

test: install-test ## Install what is missing and run every check and test
	@exec tests/run

build: ## Build target/release/renderkeep
	@cargo build --release --locked

check: ## Format, lints and documentation only
	@exec tests/run format lints documentation

format: ## Format the Rust sources
	@cargo fmt

schema: ## Write src/platform/db/schema.rs anew from the migrations
	@exec packaging/schema.sh

install-up: ## What `make up` needs: a linker, PostgreSQL 15, and the store
	@packaging/install.sh compiler postgres $(if $(STORE),$(STORE),$(if $(wildcard $(DATA)/versitygw),versitygw,minio))

install-test: ## What `make test` needs: the same, versitygw, Chromium, Node, Python packages, testssl.sh, and what captures packets
	@packaging/install.sh compiler postgres minio versitygw chromium node browser-tests clients network testssl

install-postgres: ## PostgreSQL 15 from Debian's packages, without a cluster
	@packaging/install.sh postgres

install-minio: ## MinIO from its pinned source
	@packaging/install.sh minio

install-versitygw: ## versitygw from its pinned source: the other store
	@packaging/install.sh versitygw

install-browser: ## Chromium from Debian's packages, and what drives it
	@packaging/install.sh chromium node browser-tests
