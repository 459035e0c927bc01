# Two cores are enough for everything here; PARALLEL bounds how many packages are tested at once.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PARALLEL ?= 2
TEST_TIMEOUT ?= 40m
FUZZ_TIME ?= 10s
LINT := go tool -modfile=tools/go.mod golangci-lint

.PHONY: help run demo test test-sdk lint fmt bench fuzz build

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: ## start everything on the embedded storage at http://127.0.0.1:8080 (HONGYAN_ADDR moves it)
	go run ./cmd/hongyan serve

demo: ## a week of a sandbox account on a virtual clock, then one drip in real time; under 30 seconds
	go run ./cmd/hongyan demo

test: ## all tests with the race detector; with MySQL and Redis too when they can be reached
	go test -race -count=1 -timeout=$(TEST_TIMEOUT) -p=$(PARALLEL) ./...
	@$(MAKE) --no-print-directory test-sdk

test-sdk: ## published Go SDKs against the simulator; a module of its own, the SDKs come from the module proxy
	cd wechat/simulator/sdktest && go test -race -count=1 -timeout=1m -p=$(PARALLEL) ./...

lint: ## golangci-lint at the version pinned in tools/go.mod
	$(LINT) run ./...

fmt: ## format all Go files
	$(LINT) fmt ./...

bench: ## measure; one JSON line per run (make bench NAME=guard for one of them)
	go build -o bin/hongyan ./cmd/hongyan
	bin/hongyan bench $(NAME)

fuzz: ## run every fuzz target for FUZZ_TIME
	@go list ./... | while read -r package; do \
	  go test -list '^Fuzz' "$$package" | { grep '^Fuzz' || true; } | while read -r target; do \
	    echo "== $$package $$target"; \
	    go test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZ_TIME) "$$package"; \
	  done; \
	done

build: ## build the binary into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/hongyan ./cmd/hongyan
