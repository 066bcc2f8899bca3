# Needs only make and Python 3.11 or newer with pip. Where packages come from (index, wheels, proxy) is the user's own
# configuration of pip: nothing here overrides it.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check check-long lint-k8s e2e studies studies-quick constraints clean
.NOTPARALLEL:

help: ## list these targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1	/p' Makefile | expand -t 14

demo: .venv/ready-demo ## sweep, promote, serve and predict on real data
	$(BIN)/tailorbird demo

test: .venv/ready-dev ## run the tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: .venv/ready-dev ## check style, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile

lint-k8s: .venv/ready-dev ## render and validate the manifests of k8s/, rules and images too; needs kubectl and promtool
	TAILORBIRD_TEST_NO_SKIPS=1 $(BIN)/python -m pytest tests/k8s
	$(BIN)/hadolint Dockerfile

e2e: .venv/ready-dev ## run the whole system as processes and kill each component in turn: minutes
	$(BIN)/python -m pytest -m long tests/e2e -o log_cli=true --log-cli-level=INFO

check-long: .venv/ready-dev ## run the tests that take minutes
	$(BIN)/python -m pytest -m long
	$(BIN)/python -m benchmarks.studies --quick

studies: .venv/ready-demo ## run all unfinished studies and write docs/studies.md: hours
	$(BIN)/python -m benchmarks.studies

studies-quick: .venv/ready-demo ## run each study for a few epochs, to check that it works: a quarter of an hour
	$(BIN)/python -m benchmarks.studies --quick

constraints: ## update constraints.txt and requirements-serve.txt to the newest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear build/resolved
	build/resolved/bin/pip install '.[train,serve,postgres,s3,dev]'
	{ echo '# Every version of a tested installation (Python 3.11, Linux); renewed by `make constraints`.'; \
	  build/resolved/bin/pip freeze --all --exclude pip --exclude tailorbird | sed -E 's/\+.*//; /^nvidia-ml-py=/!{/^(cuda|nvidia|triton)/d}'; \
	} >build/constraints.txt
	mv build/constraints.txt constraints.txt
	build/resolved/bin/pip install uv
	{ echo '# What the serving image installs, by hash; renewed by `make constraints`.'; \
	  build/resolved/bin/uv pip compile -q --generate-hashes --no-header --no-annotate --python-version 3.11 \
	    --extra serve --extra postgres --extra s3 -c constraints.txt pyproject.toml; \
	} >build/requirements-serve.txt
	mv build/requirements-serve.txt requirements-serve.txt
	rm -r build/resolved

clean: ## remove everything generated, including .venv
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# An interrupted set-up leaves .venv/unfinished behind, or no pip that works; the next one begins anew, because pip takes
# a package that was written by half for a whole one. PYTHON is asked only when .venv is made.
.venv/ready-demo: EXTRAS := train,serve
.venv/ready-dev: EXTRAS := train,serve,postgres,s3,dev
.venv/ready-demo .venv/ready-dev: pyproject.toml constraints.txt
	@if [ -e .venv/unfinished ] || ! $(BIN)/pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'Tailorbird requires Python 3.11 or newer, and $(PYTHON) is older: choose another, as in make PYTHON=python3.12' >&2; exit 1; }; \
	  $(PYTHON) -m venv --clear .venv; \
	fi
	@touch .venv/unfinished
	$(BIN)/pip install -c constraints.txt -e '.[$(EXTRAS)]'
	@touch .venv/ready-demo $@ # what the tests need includes what the demo needs
	@rm .venv/unfinished
