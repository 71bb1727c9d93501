# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# With ray and parquet too, nothing is skipped: EXTRAS=test,test-action,test-browser,ray,parquet
EXTRAS ?= test,test-action,test-browser
READY := $(VENV)/.installed-$(EXTRAS)

.PHONY: demo test lint docs examples clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/golfproof demo --out demo

# Two workers: the suite is meant for two cores, and more would want more memory than they save time.
test: $(READY)
	$(BIN)/pytest --numprocesses 2 --dist worksteal

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
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info
