# Everything runs in $(VENV), which tools/environment.py creates and keeps up to date.
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

# A set-up LSST stack puts itself on these; its packages must not mix with ours.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo report test lint bench taplint clean environment environment-bench

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'
	@echo "Options: VENV=folder of the environment, PYTHON=interpreter to make it with, ARGS=more for pytest"

demo: environment ## simulate an image, measure it, and compare with the truth (demo_output/)
	@$(BIN)/forcedphot demo --output demo_output

report: environment ## simulate a survey, and compare its catalogs with the truth (report_output/)
	@$(BIN)/forcedphot simulate report_output/dp1
	@$(BIN)/forcedphot report report_output/dp1 --output report_output

test: environment ## run the tests
	@$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile $(ARGS)

lint: environment ## check format, style and types
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m mypy src tests benchmarks tools

bench: environment-bench ## measure speed and memory beside photutils and sep (bench_output/)
	@for script in benchmarks/bench_*.py; do \
		echo "$$script"; $(BIN)/python "$$script" || exit 1; \
	done

taplint: environment ## check the TAP service with Debian's stilts (docs/taplint.txt)
	@$(BIN)/python tools/taplint.py docs/taplint.txt

clean: ## remove what runs have left; the environment stays
	@rm -rf demo_output report_output bench_output build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@python=$$(sh tools/find_python.sh) && "$$python" -I tools/environment.py "$(VENV)" dev

environment-bench:
	@python=$$(sh tools/find_python.sh) && "$$python" -I tools/environment.py "$(VENV)" dev bench
