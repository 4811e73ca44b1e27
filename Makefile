# The two commands that matter: make demo, make test.
.PHONY: audit demo test docs test-openstack azure-contract cloudsigma-contract venv dev lint typecheck unit model transitions fuzz torture strays bench dist pins schemas page-libraries clean

# A checkout is compiled once, not by each of the thousands of commands that tests start.
unexport PYTHONDONTWRITEBYTECODE

SETUP := setup.cfg pyproject.toml contrib/venv $(wildcard contrib/constraints*.txt) contrib/occo/setup.cfg \
	$(wildcard plugins/*/*/setup.cfg)
PACKAGES := occopus_core $(wildcard plugins/*/*/occopus_*)
CODE := $(filter-out %.egg-info,$(PACKAGES)) benchmarks contrib/occo/occo contrib/audit.py contrib/dist.py contrib/layers.py contrib/pins.py contrib/published.py contrib/site/*.py

demo: venv  ## build the quick start on this machine
	@contrib/demo

test: dev lint typecheck docs  ## everything: style, types, layers, the documentation, every test
	@contrib/real-parts
	.venv/bin/pytest -n 8 --dist worksteal $(PYTEST)

test-openstack: dev  ## the nova handler against a real OpenStack, which is set up in .openstack/ first
	.venv/bin/pytest -q -n 2 tests/openstack $(PYTEST)

# $OCCOPUS_RECORDINGS names a folder of recorded exchanges with real clouds, where there is one.

cloudsigma-contract: dev  ## the stand-in for CloudSigma beside recorded exchanges, where $OCCOPUS_RECORDINGS has them
	@if [ -d "$(OCCOPUS_RECORDINGS)/cloudsigma" ]; then \
		.venv/bin/python -m occopus_resource_cloudsigma.testing.recordings "$(OCCOPUS_RECORDINGS)/cloudsigma"; \
	else echo "no recorded exchanges in the folder cloudsigma of \$$OCCOPUS_RECORDINGS: nothing is compared"; fi

azure-contract: dev  ## the tests of Azure with every exchange checked against Microsoft's documents, and recordings replayed
	@if [ -d "$(OCCOPUS_RECORDINGS)/azure/openapi" ]; then \
		OCCOPUS_RECORDINGS="$(abspath $(OCCOPUS_RECORDINGS))" .venv/bin/pytest -q -n 2 plugins/resource/azure; \
	else echo "no documents in the folder azure of \$$OCCOPUS_RECORDINGS: nothing is checked"; fi

torture: dev  ## kill the commands at every boundary; TORTURE="--kills 20000 --seed 7" for longer
	.venv/bin/python -m tests.torture $(TORTURE)

TRIALS ?= 200

strays: dev  ## stop a command, destroy, continue it: TRIALS=200 on each of two clouds
	.venv/bin/python -m tests.torture.strays --cloud sim --trials $(TRIALS)
	.venv/bin/python -m tests.torture.strays --cloud ec2 --trials $(TRIALS)

venv: .venv/.usable
dev: .venv/.testable

.venv/.usable: $(SETUP)
	@echo "setting up .venv: a minute or two, once"
	@contrib/venv
	@touch $@

.venv/.testable: $(SETUP)
	@echo "setting up .venv for tests: a minute or two, once"
	@contrib/venv --dev
	@touch .venv/.usable $@

lint: dev
	.venv/bin/ruff check --quiet
	.venv/bin/ruff format --quiet --check
	.venv/bin/python contrib/layers.py >/dev/null || .venv/bin/python contrib/layers.py

audit: dev  ## no requirement allows a version with a known vulnerability (contrib/floors.txt)
	.venv/bin/python contrib/audit.py

typecheck: dev
	.venv/bin/mypy $(CODE)

unit: dev  ## the fast tests alone: no processes but databases, nothing marked slow
	.venv/bin/pytest -q -n 2 -m "not slow" tests/unit

# Programs that single targets need.
TOOLS = .venv/bin/pip install -q --require-hashes --no-deps --only-binary :all: -r contrib/constraints-tools.txt

EXAMPLES ?= 1000
SEED ?= $(shell date +%s)
SECONDS ?= 60
TEMPLATES ?= 100000

model: dev  ## the model test at length: make model EXAMPLES=1000 SEED=1
	@echo "seed $(SEED)"
	OCCOPUS_TEST_EXAMPLES=$(EXAMPLES) .venv/bin/pytest -q --timeout=0 tests/unit/engine/passes/test_model.py --hypothesis-seed=$(SEED)

transitions: dev  ## 10,000 changes of a store by eight processes that are killed, with copies made meanwhile
	OCCOPUS_TEST_TRANSITIONS=10000 .venv/bin/pytest -q -s tests/integration/test_store_processes.py -k no_change_is_lost

fuzz: dev  ## descriptions and templates: make fuzz SECONDS=60 TEMPLATES=100000; installs atheris where it is missing
	@.venv/bin/python -c "import atheris" 2>/dev/null || $(TOOLS)
	.venv/bin/python tests/fuzz/descriptions.py -max_total_time=$(SECONDS) -seed=$(SEED)
	.venv/bin/python tests/fuzz/templates.py -max_total_time=$(SECONDS) -seed=$(SEED) -timeout=20
	.venv/bin/python -m tests.fuzz.grammar --templates $(TEMPLATES) --seed $(SEED)

bench: dev  ## measure against the critical path, and against Terraform where it is installed
	.venv/bin/python -m benchmarks

dist: dev  ## a wheel and a source distribution of everything, in dist/, and what is wrong with them
	@rm -rf dist
	.venv/bin/python contrib/dist.py
	.venv/bin/twine check --strict dist/*
	.venv/bin/check-wheel-contents dist/*.whl

RAISE ?=

pins: dev  ## write contrib/constraints*.txt from the requirements: make pins RAISE="urllib3 rich", or RAISE=all
	@.venv/bin/python -c "import uv" 2>/dev/null || $(TOOLS)
	.venv/bin/python contrib/pins.py $(RAISE)

schemas: dev  ## write schemas/, plugins/README.md and what the core advises to install, from the core and the plugins
	.venv/bin/occopus-plugins schema --output schemas --relative >/dev/null
	.venv/bin/python contrib/published.py

docs: dev  ## the documentation as a site, in site/, with warnings as errors
	@# Not --quiet, with which no warning counts.
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --config-file contrib/site/mkdocs.yml
	@echo "the documentation is in site/: .venv/bin/python -m http.server --directory site --bind 127.0.0.1"

page-libraries:  ## fetch the libraries of the page anew; needs npm
	plugins/page/dashboard/fetch-libraries

clean:
	rm -rf .venv build dist site *.egg-info contrib/occo/*.egg-info plugins/*/*/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
