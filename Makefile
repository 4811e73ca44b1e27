# The two commands that matter: make demo, make test.
.PHONY: demo test test-openstack venv dev lint typecheck unit bench schemas page-libraries clean

SETUP := setup.cfg pyproject.toml contrib/venv contrib/constraints.txt contrib/requirements-dev.txt \
	$(wildcard plugins/*/*/setup.cfg)
PACKAGES := occopus_core $(wildcard plugins/*/*/occopus_*)
CODE := $(filter-out %.egg-info,$(PACKAGES)) benchmarks

demo: venv  ## build the quick start on this machine
	@contrib/demo

test: dev lint typecheck  ## everything: style, types, layers, every test
	@contrib/real-parts
	.venv/bin/pytest -n 4

test-openstack: dev  ## the nova handler against a real OpenStack, which is set up in .openstack/ first
	.venv/bin/pytest -q tests/openstack

venv: .venv/.usable
dev: .venv/.testable

.venv/.usable: $(SETUP)
	@echo "setting up .venv"
	@contrib/venv
	@touch $@

.venv/.testable: $(SETUP)
	@echo "setting up .venv for tests"
	@contrib/venv --dev
	@touch .venv/.usable $@

lint: dev
	.venv/bin/ruff check --quiet
	.venv/bin/ruff format --quiet --check
	.venv/bin/lint-imports --no-cache >/dev/null || .venv/bin/lint-imports --no-cache

typecheck: dev
	.venv/bin/mypy $(CODE)

unit: dev  ## the fast tests alone
	.venv/bin/pytest -q tests/unit

bench: dev  ## measure against the critical path, and against Terraform where it is installed
	.venv/bin/python -m benchmarks

schemas: dev  ## write schemas/ anew from the core and the plugins
	.venv/bin/python -m occopus_core.descriptions.export schemas

page-libraries:  ## fetch the libraries of the page anew; needs npm
	plugins/page/dashboard/fetch-libraries

clean:
	rm -rf .venv build dist *.egg-info plugins/*/*/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
