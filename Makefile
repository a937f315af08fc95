# Thin on purpose: the presets in CMakePresets.json and the scripts in tools/ do the work.
.DEFAULT_GOAL := help
.PHONY: help build image image-dcap release release-check install uninstall demo test check-all e2e e2e-cluster demo-cluster lint format sanitize fuzz bench clean
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
# VERSION is common in environments; only who writes it behind make means a Kubernetes.
KUBERNETES := $(if $(filter command line,$(origin VERSION)),--kubernetes $(VERSION))

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

build: ## Build the release binaries into build/release/bin
	@tools/packages build
	@tools/build release

install: ## Put enclayer, kubectl-enclayer, enclayer-attest and shell completion into PREFIX (default /usr/local); DESTDIR is honoured
	@tools/packages build
	@tools/build release enclayer
	@tools/install install $(PREFIX)

uninstall: ## Remove from PREFIX what make install put there
	@tools/install uninstall $(PREFIX)

image: ## Container image with everything but Intel's libraries, as an OCI archive in build/image
	@tools/packages build
	@tools/packages image
	@tools/build release $$(tools/image enclayer --programs)
	@tools/image enclayer $(IMAGE_FLAGS)

image-dcap: ## Container image for SGX hardware, with Intel's packages out of the folder DCAP_DEBS
	@test -n "$(DCAP_DEBS)" || { echo "make image-dcap DCAP_DEBS=DIR: which folder has Intel's packages? (docs/images.md)" >&2; exit 1; }
	@tools/packages build
	@tools/packages image
	@tools/build release $$(tools/image enclayer-dcap --programs)
	@tools/image enclayer-dcap --debs "$(DCAP_DEBS)" $(IMAGE_FLAGS)

release: ## What users download: static command, .deb, chart, checksums, in build/release-files; BASE_URL=https://... where they will lie
	@tools/packages build
	@tools/packages image
	@tools/build release enclayer
	@tools/release $(if $(BASE_URL),--base-url "$(BASE_URL)") $(RELEASE_FLAGS)

release-check: ## Make them twice from clones in different folders, compare, and try them on bare Debian 12 and 13 (root; an hour)
	@tools/packages build
	@tools/packages image
	@tools/packages release-check
	@test/release/check $(RELEASE_FLAGS)

demo: ## Build, then watch a simulated SGX node hand out EPC and answer a quote request (about a second)
	@tools/packages build
	@tools/build demo enclayer-demo
	@build/demo/libexec/enclayer-demo

test: ## Build and run every test that needs no cluster
	@tools/packages build
	@tools/packages image
	@tools/packages shells
	@tools/build release
	@ctest --preset release -j $(JOBS)

e2e: ## Real kubelet, real clients, real verifier (root; needs Go >= 1.26.4, cargo and pip)
	@node --version >/dev/null 2>&1 || tools/packages javascript
	@test/e2e/run --check-tools
	@tools/packages build
	@tools/build release
	@test/e2e/run $(KUBERNETES)

e2e-cluster: ## The add-on on a real control plane, with a real node and a thousand that are played; VERSION=1.36.5: short, on that Kubernetes (root; needs Go >= 1.26.4)
	@test/e2e/run --cluster --check-tools
	@tools/packages build
	@tools/build release
	@test/e2e/run --cluster $(KUBERNETES)

demo-cluster: ## Watch the add-on's whole story on a real control plane; KEEP=1 leaves it up (root; needs Go >= 1.26.4)
	@test/e2e/run --demo --check-tools
	@tools/packages build
	@tools/build release
	@test/e2e/run --demo $(if $(KEEP),--keep)

lint: ## clang-format, clang-tidy and shellcheck over everything
	@tools/packages build
	@tools/packages lint
	@tools/lint

format: ## Let clang-format rewrite the sources
	@tools/packages lint
	@git ls-files -z '*.cc' '*.h' | xargs -0 clang-format-14 -i

sanitize: ## The tests again under AddressSanitizer + UBSan, then under ThreadSanitizer
	@tools/packages build
	@tools/build asan && ctest --preset asan -j $(JOBS)
	@tools/build tsan && ctest --preset tsan -j $(JOBS)

check-all: lint sanitize fuzz ## What takes too long for each submission: all of lint, the sanitizers, the fuzzers

fuzz: ## Run every fuzz target for FUZZ_SECONDS (default 60) each
	@tools/packages build
	@tools/packages fuzz
	@tools/build fuzz && tools/fuzz

bench: ## AESM front end against the floor, verification and the device plugin beside their peers, tokens (root, Go, pip; a quarter of an hour)
	@tools/packages build
	@tools/packages bench
	@tools/build release enclayer enclayer-attest enclayer-device-plugin enclayer-dra-driver enclayer-quote-helper
	@bench/aesm/run build/release/bin/enclayer-quote-helper
	@bench/verify/run
	@bench/metrics/run build/release/bin
	@bench/attest/run build/release/bin/enclayer-attest
	@bench/dra/run build/release/bin/enclayer-dra-driver
	@bench/plugin/run build/release/bin/enclayer-device-plugin

clean: ## Remove build/
	rm -rf build
