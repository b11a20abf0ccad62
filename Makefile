# Every target works alone from a bare checkout: Python 3.11 and a C compiler are all it needs.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: quickstart test test-all lint bench lock clean

quickstart: $(READY)
	$(RUN) -m ppernie.cli.main quickstart

# Two processes of one thread each, for two cores.
test: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -m "not slow" -n 2 --dist loadfile

test-all: $(READY)
	$(RUN) -m pytest

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(READY)
	$(RUN) -m ppernie.cli.main bench train
	$(RUN) -m ppernie.cli.main bench infer

# Writes requirements.lock anew from what setup.py asks for.
lock: $(READY)
	$(RUN) -m pip install --quiet uv
	$(RUN) -m uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 \
		--extra cpu --extra dev setup.py -o requirements.lock

$(READY): requirements.lock setup.py $(wildcard ppernie/nn/kernels/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --require-hashes -r requirements.lock
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) output
