# Two commands matter: `make app` and `make test`. Both set up .venv first.
PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin

.PHONY: app test check lint types bench record clean

app: .venv/app.done
	$(BIN)/streamlit run app/main.py --server.port $(PORT)

test: .venv/test.done
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

check: lint types test

lint: .venv/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test.done
	$(BIN)/mypy

bench: .venv/test.done
	for script in tests/benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

.venv/app.done: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/test.done: tests/requirements.txt .venv/app.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache

# The finished runs that a first visitor sees: recorded by this code from assets/recipes.
record: .venv/app.done
	rm -rf assets/recorded assets/.recording
	for recipe in assets/recipes/*.json; do \
		OMP_NUM_THREADS=1 $(BIN)/python -m kdcore run $$recipe --root assets/.recording || exit 1; done
	mkdir -p assets/recorded
	for run in assets/.recording/????????????????; do \
		mkdir -p assets/recorded/$$(basename $$run) && \
		cp -r $$run/recipe.json $$run/events.jsonl $$run/snapshots assets/recorded/$$(basename $$run)/; done
	rm -rf assets/.recording
