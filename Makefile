# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test test-ray lint docs examples clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/golfproof demo --out demo

test: $(READY)
	$(BIN)/pytest

# What `make test` skips because Ray and pyarrow are extras: among it a cluster of two machines on this one.
test-ray: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,ray,parquet]'
	$(BIN)/pytest tests/reproduce/test_ray_cluster.py tests/reproduce/test_executors.py tests/reproduce/test_compare.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The JSON schema and the rule pages, from the code.
docs: $(READY)
	$(BIN)/python -m reports.documents

# reports/examples, from the sources named in reports/examples/README.md.
examples: $(READY)
	$(BIN)/python -m reports.examples

# Plain pip with the exact versions of constraints.txt, so that both commands see the same libraries everywhere.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "golfproof needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,test-action,test-browser]'
	@touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info
