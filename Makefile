# Needs Go, bash and, for the race detector, a C compiler. Tools are installed by version
# into TOOLS when they are first used.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-print-directory

GO        ?= go
VERSION   ?=
REVISION  ?= $(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null)
# A count and not a time: until Go 1.27 the end of the time can pass for a failure
# (https://go.dev/issue/75804).
FUZZTIME  ?= 20000x
BENCHTIME ?= 1s
LOADFLAGS ?=
TESTFLAGS ?=

# Of make kill: how often each fleet is killed, and how many deliveries each test
# sends that counts them.
ROUNDS     ?= 30
DELIVERIES ?= 1000

# Each names a folder of recorded deliveries, one folder per provider: PAYLOADS of
# bodies alone, CORPUS of bodies, their headers and the right answers. The conformance
# tests read them; those of a folder that is not named are skipped.
ifdef BUILDBRIDGE_PAYLOADS
override export BUILDBRIDGE_PAYLOADS := $(abspath $(BUILDBRIDGE_PAYLOADS))
endif
ifdef BUILDBRIDGE_CORPUS
override export BUILDBRIDGE_CORPUS := $(abspath $(BUILDBRIDGE_CORPUS))
endif

TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/buildbridge/tools

# go-tool VARIABLE,PACKAGE,VERSION,FLAGS: a tool in a folder of its own, installed when it
# is first used. The Go version is part of the path: a linter built by an older Go refuses
# newer code.
define go-tool
$(1) := $(TOOLS)/$(notdir $(patsubst %/v2,%,$(2)))-$(3)-$(shell $(GO) env GOVERSION)/$(notdir $(patsubst %/v2,%,$(2)))
$$($(1)):
	GOBIN='$$(@D)' $(GO) install $(4) $(2)@$(3)
endef

# Prometheus without its service discoveries, of which neither rules nor tests need any.
$(eval $(call go-tool,GOLANGCI,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,v2.15.0))
$(eval $(call go-tool,PROMTOOL,github.com/prometheus/prometheus/cmd/promtool,v0.316.0,-tags remove_all_sd))
$(eval $(call go-tool,PROMETHEUS,github.com/prometheus/prometheus/cmd/prometheus,v0.316.0,-tags remove_all_sd))
$(eval $(call go-tool,HELM,helm.sh/helm/v3/cmd/helm,v3.22.0))
$(eval $(call go-tool,HELM_UNITTEST,github.com/helm-unittest/helm-unittest/cmd/helm-unittest,v1.0.0))
$(eval $(call go-tool,HELM_DOCS,github.com/norwoodj/helm-docs/cmd/helm-docs,v1.14.2))
$(eval $(call go-tool,KUBECONFORM,github.com/yannh/kubeconform/cmd/kubeconform,v0.7.0))
$(eval $(call go-tool,GOVULNCHECK,golang.org/x/vuln/cmd/govulncheck,v1.9.0))
$(eval $(call go-tool,CONTROLLER_GEN,sigs.k8s.io/controller-tools/cmd/controller-gen,v0.23.0))

# axe-core is no Go module: npm brings it, and nothing of it gets into the program.
AXE_VERSION := 4.14.1
AXE_SHA256  := e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
AXE         := $(TOOLS)/axe-core-$(AXE_VERSION)/axe.min.js
$(AXE):
	mkdir -p '$(@D)'
	cd '$(@D)' && npm pack --silent axe-core@$(AXE_VERSION)
	cd '$(@D)' && echo '$(AXE_SHA256)  axe-core-$(AXE_VERSION).tgz' | sha256sum --check --quiet
	tar -C '$(@D)' -xzf '$(@D)/axe-core-$(AXE_VERSION).tgz' --touch --strip-components=1 package/LICENSE package/axe.min.js
	rm '$(@D)/axe-core-$(AXE_VERSION).tgz'

CHART           := charts/buildbridge
HELM_DOCS_FLAGS := --log-level warning --sort-values-order file --chart-search-root $(CHART)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w $(if $(VERSION),-X main.version=$(VERSION)) $(if $(REVISION),-X main.revision=$(REVISION))'

.PHONY: build
build: ## Build ./buildbridge, static; VERSION=v1.2.3 names the version
	$(BUILD) -o buildbridge ./cmd/buildbridge

# The first of docker, podman and buildah that is installed: their build commands take the same flags.
ENGINE     ?= $(firstword $(foreach e,docker podman buildah,$(shell command -v $(e) >/dev/null && echo $(e))))
IMAGE      ?= registry.example.com/buildbridge
IMAGEFLAGS ?=

.PHONY: image
image: ## Build the container image IMAGE:VERSION; ENGINE=podman, IMAGEFLAGS='--platform linux/arm64'
	$(or $(ENGINE),$(error no docker, podman or buildah here)) build $(IMAGEFLAGS) -t $(IMAGE):$(or $(VERSION),devel) \
		--build-arg VERSION=$(or $(VERSION),devel) --build-arg REVISION=$(or $(REVISION),unknown) .

# The archives of a release. The same commit gives the same bytes, with the same Go and GNU tar.
DIST      ?= dist
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
PACKED    := README.md LICENSE CHANGELOG.md rules.yaml rules.test.yaml rules.schema.json rules.test.schema.json \
	docs/systemd/buildbridge.service docs/sqlite-to-postgres.sh

MAN ?= man

.PHONY: man
man: ## Write the man pages into MAN, a page for each command
	mkdir -p '$(MAN)'
	$(GO) run ./cmd/buildbridge __man '$(MAN)'

.PHONY: release
release: VERSION := $(or $(VERSION),$(shell git describe --tags --exact-match 2>/dev/null))
release: ## Build archives and checksums into DIST, of the tag that is checked out or VERSION=v1.2.3
	@: $(or $(VERSION),$(error no tag is checked out: make release VERSION=v1.2.3))
	rm -rf '$(DIST)'
	$(MAKE) man MAN='$(DIST)/man'
	for platform in $(PLATFORMS); do \
		name=buildbridge_$(VERSION:v%=%)_$${platform/\//_}; \
		mkdir -p "$(DIST)/$$name"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(BUILD) -o "$(DIST)/$$name/buildbridge" ./cmd/buildbridge; \
		cp -r $(PACKED) '$(DIST)/man' "$(DIST)/$$name"; \
		tar -C '$(DIST)' -c --format=gnu --sort=name --mtime="@$$(git log -1 --format=%ct)" --owner=root:0 --group=root:0 \
			--mode=u=rwX,go=rX "$$name" | gzip -9n >"$(DIST)/$$name.tar.gz"; \
		rm -r "$(DIST)/$$name"; \
	done
	rm -r '$(DIST)/man'
	cd '$(DIST)' && sha256sum -- *.tar.gz >checksums.txt

# Packages are tested in this order, as many at a time as there are cores. Those below trigger
# take long: at the end they would leave the other cores without work. The race detector looks at
# everything but SQLite, which was translated from C, and would take a third of the time. It must not
# leave out a package that instantiates generic types of the standard library: the linker may
# take that copy for all, and the detector would report races that are none. Conversions of pointers
# are checked in no package of modernc.org, whose C code needs many: that would take a tenth.
.PHONY: test
test: ## Run all tests, with the race detector where there is a C compiler
	@cc=$$($(GO) env CC); cgo=1; \
	race="-race -gcflags=modernc.org/...=-d=checkptr=0 -gcflags=modernc.org/sqlite/lib=-race=0"; \
	if ! command -v "$${cc%% *}" >/dev/null; then \
		cgo=0 race=; \
		printf '\n!!! No C compiler (%s): the tests run WITHOUT the race detector.\n\n' "$$cc" >&2; \
	fi; \
	set -x; CGO_ENABLED=$$cgo $(GO) test $$race -timeout 20m $(TESTFLAGS) ./trigger/... ./...

.PHONY: kill
kill: ## Kill real processes ROUNDS times under load, and count DELIVERIES
	$(GO) test ./cmd/internal/e2e/kill -count=1 -v -timeout 2h -rounds $(ROUNDS) -deliveries $(DELIVERIES)

.PHONY: lint
lint: $(GOLANGCI) ## Check formatting, module files, code and the lines of Markdown
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GOLANGCI) fmt --diff
	$(GOLANGCI) run
	@git ls-files '*.md' | LC_ALL=C xargs awk '/^ *```/ {console = /console/} {line = $$0; gsub(/[\200-\277]/, "", line)} \
		length(line) > 120 && !console {print FILENAME ":" FNR ": more than 120 characters"; bad = 1} END {exit bad}'

.PHONY: vuln
vuln: $(GOVULNCHECK) ## Look for known vulnerabilities, where their database can be reached
	@status=0; said=$$($(GOVULNCHECK) ./... 2>&1) || status=$$?; printf '%s\n' "$$said"; \
	if [[ $$status != 0 && $$said == *'fetching vulnerabilities: '* ]]; then \
		printf '\n!!! The database of vulnerabilities cannot be reached: NOTHING was checked.\n\n' >&2; \
	else \
		exit $$status; \
	fi

.PHONY: fmt
fmt: $(GOLANGCI) ## Format all Go files
	$(GOLANGCI) fmt

.PHONY: alerts
alerts: $(PROMTOOL) ## Check the alerts, and run their tests
	$(PROMTOOL) check rules --lint=all --lint-fatal charts/buildbridge/alerts/*.yaml
	printf '%s\n' charts/buildbridge/alerts/tests/*.yaml | xargs -P "$$(nproc)" -n 1 $(PROMTOOL) test rules

.PHONY: chart
chart: $(HELM) $(HELM_UNITTEST) $(HELM_DOCS) $(KUBECONFORM) $(CONTROLLER_GEN) ## Check the Helm chart with the real tools, each way to run it
	$(HELM_UNITTEST) $(CHART)
	BUILDBRIDGE_CHART_TOOLS='$(dir $(HELM)):$(dir $(KUBECONFORM)):$(dir $(CONTROLLER_GEN))' $(GO) test -count=1 ./cmd/internal/e2e/chart
	@$(HELM_DOCS) --dry-run $(HELM_DOCS_FLAGS) | diff -u $(CHART)/README.md - || { echo 'run make chart-docs' >&2; exit 1; }

.PHONY: chart-docs
chart-docs: $(HELM_DOCS) ## Write the chart's README from its values
	$(HELM_DOCS) $(HELM_DOCS_FLAGS)

.PHONY: bench
bench: ## Run all benchmarks; BENCHTIME=1x to see that they work
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: bench-load
bench-load: ## Measure the program under load, next to a bare handler: minutes; LOADFLAGS='-run Accept' for a part
	$(GO) test ./cmd/internal/e2e/load -count=1 -v -timeout 2h $(LOADFLAGS) -args -full

OBSERVE = $(GO) test ./cmd/internal/e2e/observe -count=1 -v -prometheus '$(PROMETHEUS)' -promtool '$(PROMTOOL)'

.PHONY: observe
observe: $(PROMETHEUS) $(PROMTOOL) ## Try dashboards and alerts on a real Prometheus
	$(OBSERVE)

BROWSER = $(GO) test ./cmd/internal/e2e/browser -count=1 -v -axe '$(AXE)'

.PHONY: browser
browser: $(AXE) ## Open the pages in a real browser, which has to be Chromium
	$(BROWSER)

.PHONY: pictures
pictures: $(PROMETHEUS) $(PROMTOOL) ## Draw the dashboards and the pages for docs/images: four minutes
	$(OBSERVE) -run Observe -lasting 150s -pictures ../../../../docs/images
	$(BROWSER) -run Pictures -pictures ../../../../docs/images

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME: a time, or a count of inputs such as 20000x
	@targets=$$($(GO) test -list '^Fuzz' ./... | awk '/^Fuzz/ {name[++n] = $$1} /^ok/ {for (i = 1; i <= n; i++) print $$2, name[i]; n = 0}'); \
	while read -r package name; do \
		echo "$$name in $$package"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$package"; \
	done <<<"$${targets:?no fuzz target found}"

.PHONY: demo
demo: ## Show what happens to a push and a tag, once
	$(GO) run ./cmd/buildbridge demo --once

.PHONY: conformance
conformance: ## Decide on the recorded deliveries in BUILDBRIDGE_PAYLOADS and BUILDBRIDGE_CORPUS
	@: $${BUILDBRIDGE_PAYLOADS:-$${BUILDBRIDGE_CORPUS:?name a folder of recorded deliveries: make conformance BUILDBRIDGE_CORPUS=../corpus}}
	$(GO) test -count=1 -v -run Conformance ./handlers/codehost ./cmd/internal/explain
