# The same commands that CI runs. `make demo` needs nothing but Python, and takes about four minutes on two cores.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev

.PHONY: demo test check bench bench-gpu study clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $(READY)

# What only tests and checks need is several times as large.
$(DEV): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(DEV)

demo: $(READY)
	$(BIN)/python -m experiments.demo --out demo

test: $(DEV)
	$(BIN)/python -m pytest -n 2 -q

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks.run

# Needs a GPU and a CUDA build of torch; takes a few minutes.
bench-gpu: $(READY)
	$(BIN)/python -m benchmarks.gpu --out benchmarks/results/gpu.json
	$(BIN)/python -m benchmarks.page

# Every table and figure, on a synthetic world; interrupt it when you like.
study: $(READY)
	$(BIN)/resight reproduce all --out runs/study

clean:
	rm -rf demo .mypy_cache .ruff_cache .pytest_cache
