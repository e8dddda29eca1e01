# Foreshock's targets. `make test` is the whole check; it installs or builds
# what it needs and is what CI runs.

GO       ?= go
LINT      = $(GO) tool -modfile=tools/lint/go.mod
CHROMIUM ?= /usr/bin/chromium

.PHONY: build test unit e2e browser lint fmt bench fuzz demo tools chromium clean

build:
	$(GO) build -trimpath -ldflags '-s -w' -o bin/foreshock ./cmd/foreshock

demo:
	$(GO) run ./cmd/foreshock demo

# All tests: the race detector for everything that runs in process, then the
# built binary against the real Prometheus, Alertmanager and browser.
test: lint unit e2e browser

unit: tools
	$(GO) test -race ./...

# The real programs and the shop's stories, one package after the other. Not
# under the race detector, since they live in real time or through many days.
e2e: tools
	$(GO) test -tags e2e -p 1 -timeout 15m ./internal/app/ ./internal/e2e/

browser: chromium
	$(GO) test -tags browser ./internal/web/...

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt wants: $$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags 'e2e browser' ./internal/e2e/ ./internal/app/ ./internal/web/
	$(LINT) staticcheck ./...
	$(LINT) staticcheck -tags 'e2e browser' ./internal/e2e/ ./internal/app/ ./internal/web/

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./detectors/... ./rules/... ./internal/incident/...

# A short run of every fuzz target.
FUZZTIME ?= 10s
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

# The real Prometheus, promtool, Alertmanager and amtool, built from their
# modules at pinned versions into tools/bin.
tools:
	$(MAKE) -C tools prom am

chromium: $(CHROMIUM)
$(CHROMIUM):
	apt-get update -q && apt-get install -q -y --no-install-recommends chromium

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf bin tools/bin
