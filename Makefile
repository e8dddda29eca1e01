# Foreshock's targets. `make test` is the whole check; it installs or builds
# what it needs and is what CI runs.

GO       ?= go
LINT      = $(GO) tool -modfile=tools/lint/go.mod
CHROMIUM ?= /usr/bin/chromium

.PHONY: build test unit stories live e2e browser lint fmt bench bench-rules pictures bench-detectors bench-backtest evaluate-incidents evaluate-robustness evaluate-detectors budgets demo-seeds crash soak fuzz demo tools thanos chromium clean

build:
	$(GO) build -trimpath -ldflags '-s -w' -o bin/foreshock ./cmd/foreshock

demo:
	$(GO) run ./cmd/foreshock demo

# All tests: the race detector for everything that runs in process, then the
# built binary against the real Prometheus, Alertmanager and browser. What lives
# in real time mostly waits, so the rest runs beside it and gives way to it.
test: lint tools chromium
	$(MAKE) -j3 live unit stories browser

NICE = nice -n 19

unit: tools
	$(NICE) $(GO) test -race $$($(GO) list ./... | grep -v -x $(addprefix -e $(MODULE)/,$(SEQUENTIAL)))
	$(NICE) $(GO) test $(addprefix ./,$(SEQUENTIAL))

# Packages that start no goroutine, which TestSequentialPackages keeps. The race
# detector has nothing to see there and takes ten times as long.
SEQUENTIAL = detectors internal/incident
MODULE     = github.com/foreshock/foreshock

# The shop's stories in simulated time and the real Alertmanager. Not under the
# race detector, since they live through many days. TestStoriesAreRun keeps the prefix.
stories: tools
	$(NICE) $(GO) test -tags e2e -timeout 15m -run '^TestShop' ./internal/app/

# The same stories with ten seeds each, and whole days without a fault. Takes
# minutes:
#   make demo-seeds [SEEDS=10] [DAYS=3]
SEEDS ?= 10
DAYS  ?= 3
demo-seeds:
	SHOP_SEEDS=$(SEEDS) SHOP_DAYS=$(DAYS) $(GO) test -tags e2e -timeout 2h -run 'TestShop(Stories|QuietDay)' -v ./internal/app/

# The demo in real time, with the real programs; some crashes and a short soak.
live: tools
	$(GO) test -tags e2e -timeout 15m ./internal/e2e/ ./internal/soak/

e2e: stories live

browser: chromium
	$(NICE) $(GO) test -tags browser ./internal/web/... ./internal/backtest/

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt wants: $$out"; exit 1; fi
	@out=$$(git ls-files -z | LC_ALL=C xargs -0 grep -laP '\A(\x7fELF|MZ\x90|\xcf\xfa\xed\xfe)' || true); if [ -n "$$out" ]; then echo "built programs are tracked: $$out"; exit 1; fi
	$(GO) vet -tags 'e2e browser slow thanos' ./...
	$(LINT) staticcheck ./...
	$(LINT) staticcheck -tags 'e2e browser slow thanos' ./internal/e2e/ ./internal/soak/ ./internal/app/ ./internal/web/ ./internal/backtest/ ./internal/peers/ ./internal/source/

bench:
	$(GO) test -run '^$$' -bench . -skip 'MillionSeries|SideBySide' -benchmem ./detectors/... ./rules/... ./internal/incident/...

# One table of what a sample of each detector costs: one series alone, and a
# million in turn, as a rule's evaluation has them. Needs 2 GiB.
BENCHTIME ?= 2s
bench-detectors:
	@printf '%-14s %12s %12s %10s %10s\n' detector 'ns, alone' 'ns, million' B/series allocations
	@$(GO) test -run '^$$' -bench Detectors -benchtime $(BENCHTIME) ./detectors -args -bench.series=1000000 | awk ' \
	  /^FAIL|panic:/ { bad = 1 } \
	  /^BenchmarkDetectors/ { split($$1, name, "/"); ns = size = allocs = "?"; \
	    for (i = 3; i < NF; i += 2) { if ($$(i+1) == "cpu-ns/sample") ns = $$i; if ($$(i+1) == "B/series") size = $$i; if ($$(i+1) == "allocs/op") allocs = $$i } \
	    if (name[3] ~ /^series=1(-|$$)/) alone = ns; else printf "%-14s %12.0f %12.0f %10.0f %10d\n", name[2], alone, ns, size, allocs } \
	  END { exit bad }'

# Detection rules beside recording rules of the same expression and beside
# Grafana's anomaly rules: processor time in one engine over the same 10,000 series; then the memory
# of a rule of a million. Takes some minutes and 3 GiB.
bench-rules:
	$(GO) test -run '^$$' -bench SideBySide -benchtime 1x -timeout 1h ./rules
	$(GO) test -run '^$$' -bench MillionSeries -benchtime 1x -timeout 1h ./rules

# A history of 10,000 series and 7 days through the whole pipeline.
bench-backtest:
	$(GO) test -run '^$$' -bench Backtest -benchtime 1x -benchmem -timeout 1h ./internal/backtest -args -full

# Detection and cause over labelled incidents, per set and fault, beside what is
# published:
#   make evaluate-incidents DATA=../shared/data [OUT=folder for what was sent] [ARGS=-starter]
evaluate-incidents:
	@[ -n "$(DATA)" ] || { echo "DATA is missing: the folder with incidents/"; exit 2; }
	$(GO) run ./internal/evaluateincidents -data "$(DATA)" $(if $(OUT),-out "$(OUT)") $(ARGS)

# The same with spoilt input: clocks that differ, edges and services that are
# missing, no request counts, no graph, detection a sample late. Takes minutes.
evaluate-robustness:
	@[ -n "$(DATA)" ] || { echo "DATA is missing: the folder with incidents/"; exit 2; }
	$(GO) run ./internal/evaluateincidents -robustness -data "$(DATA)" $(if $(OUT),-out "$(OUT)") $(ARGS)

# Thirty simulated days of 5,000 series in which nothing happens: how often is
# somebody told all the same? Takes minutes.
budgets:
	$(GO) test -tags slow -timeout 1h -run BudgetsAtScale -v ./internal/backtest

# Detectors over labelled series, beside what teams use today, as one table:
#   make evaluate-detectors DATA=../shared/data [OUT=folder for the scores] [DOCS=docs/detection.md]
evaluate-detectors:
	@[ -n "$(DATA)" ] || { echo "DATA is missing: the folder with series/"; exit 2; }
	$(GO) run ./internal/evaluate -data "$(DATA)" $(if $(OUT),-out "$(OUT)") $(if $(DOCS),-docs "$(DOCS)")

# The pictures of docs/detectors, of real series:
#   make pictures DATA=../shared/data
pictures:
	@[ -n "$(DATA)" ] || { echo "DATA is missing: the folder with series/ and incidents/"; exit 2; }
	$(GO) run ./internal/evaluate -data "$(DATA)" -pictures docs/detectors

# kill -9 at random moments under load: nothing is sent twice, nothing lost.
# Takes five minutes; SEED repeats the moments of a run:
#   make crash [ROUNDS=100] [SEED=…]
ROUNDS ?= 100
crash: tools
	CRASH_ROUNDS=$(ROUNDS) CRASH_SEED=$(SEED) $(GO) test -tags e2e -timeout 4h -count 1 -run KilledAtAnyMoment -v ./internal/e2e/

# The built binary under a steady load: memory and goroutines stay flat, every
# evaluation is on time. Prints a row of the sizing table in docs/operations.md:
#   make soak [DURATION=30m] [SERIES=100000] [JUDGED=100000] [INTERVAL=15s] [CORES=2]
DURATION ?= 30m
SERIES   ?= 100000
JUDGED   ?= $(SERIES)
INTERVAL ?= 15s
CORES    ?= 2
soak: build
	$(GO) run ./internal/soak -duration $(DURATION) -series $(SERIES) -judged $(JUDGED) -interval $(INTERVAL) -cores $(CORES)

# A short run of every fuzz target.
FUZZTIME ?= 10s
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

# The real Prometheus, promtool, Alertmanager, amtool and VictoriaMetrics, built
# from their modules at pinned versions into tools/bin.
tools:
	$(MAKE) -C tools prom am vm

# The source over the real Thanos Query, whose build takes minutes the first time.
thanos: tools
	$(MAKE) -C tools thanos
	$(GO) test -tags thanos -run 'TestServers' -v ./internal/source/

chromium: $(CHROMIUM)
$(CHROMIUM):
	apt-get update -q && apt-get install -q -y --no-install-recommends chromium

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf bin tools/bin
