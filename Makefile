# A thin front over meson. `make help` lists the targets; packages stand in .ci/packages.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
DB      ?= benchmark.db
DEMO_FLAGS ?=
FUZZ_SECONDS ?= 600
MESON   ?= meson
PYTHON  ?= /usr/bin/python3
SOAK_KILLS ?= 2000

results = $(BUILD)/meson-logs/testlog.junit.xml $(BUILD)/integration.xml $(BUILD)/integration-seen.xml
C_FILES = $(shell find proto daemon client tests -name '*.[ch]' | sort)

.DEFAULT_GOAL := build
.PHONY: help install-packages build docs demo test bench bench-load bench-cache bench-python bench-xtctl calibration install sanitize fuzz soak lint format clean

help:
	@echo 'make build      install what is missing, configure and compile into $$(BUILD) ($(BUILD))'
	@echo 'make demo       a real benchmark by parallel workers into $$(DB) ($(DB)), and its summary'
	@echo 'make test       unit and integration tests, faults, power failures, crashes'
	@echo 'make bench      rows/s and latency beside bare SQLite'
	@echo 'make bench-load  what one client notices of thousands of others; memory of the daemon'
	@echo 'make bench-cache  what a cached result costs, beside a bare socket, Redis and diskcache'
	@echo 'make bench-python  what the Python client costs, beside the sqlite3 module, diskcache and pandas'
	@echo 'make bench-xtctl  what xtctl takes on 10 million rows, beside the sqlite3 program'
	@echo 'make calibration  how often `xtctl compare` is wrong, on data whose truth is known'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR='
	@echo 'make sanitize   all tests under ASan and UBSan, unit and worker tests under TSan'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS)); what they find stays in build-fuzz/found/'
	@echo 'make soak       SOAK_KILLS ($(SOAK_KILLS)) random kill -9 of daemon and workers, and what must hold after them'
	@echo 'make lint       clang-tidy, cppcheck, clang-format'
	@echo 'make format     rewrite the C files as .clang-format says'
	@echo 'make docs       print docs/protocol.md anew from proto/methods.def'
	@echo 'make clean      remove the build directories'

install-packages:
	@.ci/install

$(BUILD)/build.ninja: | install-packages
	$(MESON) setup $(BUILD) --prefix=$(abspath $(PREFIX))

build: install-packages $(BUILD)/build.ninja
	@$(MESON) compile -C $(BUILD)

docs: build
	$(BUILD)/xt-dump markdown >docs/protocol.md

# The statements of the summary are separated by blank lines; their leading comments are headings.
demo: build
	$(BUILD)/compress-bench --db $(DB) $(DEMO_FLAGS)
	@awk 'BEGIN { RS = "" } { printf "%s%c", $$0, 0 }' client/examples/summary.sql | \
		xargs -0 -n 1 sh -c 'echo; echo "$$2" | sed -n "s/^-- *//p"; exec "$$0" sql "$$1" "$$2"' $(BUILD)/xtctl $(DB)

test: build
	@rm -f $(results)
	@$(MESON) test -C $(BUILD) --no-rebuild --suite unit || true
	@PYTHON=$(PYTHON) tests/run $(BUILD) || true
	@$(PYTHON) tests/report.py $(results)

bench: build
	$(BUILD)/xt-bench

bench-load: build
	$(BUILD)/xt-bench-load

# Redis and diskcache are measured where they are: apt-get install redis-server python3-diskcache
bench-cache: build
	$(BUILD)/xt-bench-cache

# diskcache is measured where it is: apt-get install python3-diskcache
bench-python: build
	PYTHONPATH=$(BUILD)/client/python XETRACKD=$(abspath $(BUILD))/xetrackd $(PYTHON) tests/bench/python_bench.py

bench-xtctl: build
	XT_BUILD_DIR=$(abspath $(BUILD)) $(PYTHON) tests/bench/xtctl_bench.py
	XT_BUILD_DIR=$(abspath $(BUILD)) $(PYTHON) tests/bench/compare_bench.py

calibration: build
	XT_BUILD_DIR=$(abspath $(BUILD)) $(PYTHON) tests/bench/calibration.py

install: build
	@$(MESON) configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	@$(MESON) compile -C $(BUILD)
	$(MESON) install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir=$(abspath $(DESTDIR)))

sanitize: install-packages
	@.ci/run asan tsan

fuzz: install-packages
	@tests/fuzz/run $(FUZZ_SECONDS) build-fuzz/found

soak: build
	XT_BUILD_DIR=$(abspath $(BUILD)) XT_CRASH_KILLS=$(SOAK_KILLS) $(PYTHON) -m pytest tests/crash -s -k 'random or control'

lint: install-packages
	@.ci/run clang-tidy cppcheck format

format: install-packages
	clang-format -i $(C_FILES)

clean:
	rm -rf build build-*
