# `make run` opens the app; `make test` runs every test; `make help` lists the rest. Everything lands in .venv.
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check
STAMPS = .venv/.stamps

.PHONY: help run full test test-models image-test lock check fix bench pictures clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

run: $(STAMPS)/serve  ## set up and open the app on http://127.0.0.1:7860
	@.venv/bin/python app.py ui --open

full: $(STAMPS)/full  ## install torch and open_clip as well, for models other than the bundled one

test: $(STAMPS)/dev $(STAMPS)/browser  ## set up and pass every test
	@.venv/bin/python -m pytest

test-models: $(STAMPS)/dev  ## export whole architectures with random weights: half an hour, 12 GB of memory
	@.venv/bin/python -m pytest -m models tests/contract/test_full_models.py

image-test:  ## build the image with docker or buildah and test it inside, as three users, read-only, without network
	@tests/container/run_image.sh $(TARGETS) -- $(BUILD_OPTIONS)

lock:  ## write constraints.txt anew: the version of everything that the image installs
	@sh -ec 'd=$$(mktemp -d); trap "rm -rf $$d" EXIT; $(PYTHON) -m venv $$d; \
	  $$d/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt; \
	  $$d/bin/python -m pip freeze --all --exclude pip | sed "s/+.*//; 1i # Written by make lock: the version of everything that the image installs." > $$d/pins; \
	  cp $$d/pins constraints.txt'

check: $(STAMPS)/dev  ## format, lint, types, workflows
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/zizmor --quiet --offline .github

fix: $(STAMPS)/dev  ## what ruff can mend by itself
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench: $(STAMPS)/dev $(STAMPS)/browser  ## measure, print a Markdown table, append it to docs/figures.md
	@.venv/bin/python -m bench

pictures: $(STAMPS)/dev $(STAMPS)/browser  ## take README's pictures from the running app
	@.venv/bin/python docs/make_pictures.py

clean:  ## remove the virtual environment; never the data folder
	rm -rf .venv

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sightline needs Python 3.11 or later, this is " + sys.version)'
	@$(PYTHON) -m venv .venv
	@mkdir -p $(STAMPS)

$(STAMPS)/serve: requirements-serve.txt | .venv/bin/python
	@echo "Installing what the app needs (once) …"
	@$(PIP) -r requirements-serve.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/full: requirements.txt requirements-serve.txt | .venv/bin/python
	@echo "Installing torch and open_clip (once) …"
	@$(PIP) -r requirements.txt
	@mkdir -p $(STAMPS) && touch $@ $(STAMPS)/serve

$(STAMPS)/dev: requirements-dev.txt requirements.txt requirements-serve.txt | .venv/bin/python
	@echo "Installing what the tests need (once) …"
	@$(PIP) -r requirements-dev.txt
	@mkdir -p $(STAMPS) && touch $@ $(STAMPS)/serve $(STAMPS)/full

$(STAMPS)/browser: | $(STAMPS)/dev
	@sh tests/browser/install_chromium.sh .venv/bin/python
	@touch $@
