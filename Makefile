# Everything a person or CI does here. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON_HERE := .venv/bin/python
# Its schemas are in the package: nothing is downloaded.
SCHEMA := .venv-release/bin/check-jsonschema --quiet --builtin-schema
# cfn-lint and SAM ask for a Region although neither talks to AWS.
export AWS_DEFAULT_REGION ?= eu-central-1
export SAM_CLI_TELEMETRY := 0

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup environment sam-environment lambda-environment scan-environment \
	mutants-environment release-environment node-environment
setup: environment ## make .venv from the lock and bring the database servers; quick when done
	@$(PYTHON_HERE) -m local.servers fetch

environment:
	@local/setup.sh .venv requirements/dev.txt

# Of its own: the SAM CLI pins an older boto3.
sam-environment:
	@local/setup.sh .venv-sam requirements/sam.txt

scan-environment:
	@local/setup.sh .venv-scan requirements/scan.txt

# Of its own: what changes the code brings a text editor's worth of packages.
mutants-environment:
	@local/setup.sh .venv-mutants requirements/mutants.txt

# The bill of materials of a release, the schemas of what GitHub reads, pre-commit.
release-environment:
	@local/setup.sh .venv-release requirements/release.txt

# What Lambda's own runtime has, in Lambda's Python version, to start built functions with.
lambda-environment: environment
	@PYTHON="$$($(PYTHON_HERE) -m local.interpreter)" local/setup.sh .venv-lambda requirements/lambda.txt

# The policy simulator of the deployment tests.
node-environment:
	@local/setup-node.sh tests/deployment

.PHONY: demo
demo: setup ## watch PostgreSQL, MySQL, MariaDB and Valkey passwords rotate on real servers
	@$(PYTHON_HERE) -m local.demo

# Four also on two cores: a test waits for servers more than it works. Each worker starts servers of
# its own; all would share one that you name: then `WORKERS=0`.
WORKERS ?= 4
PYTEST = -m pytest --numprocesses $(WORKERS) --dist loadgroup

.PHONY: test test-deploy test-sample test-matrix test-all coverage
test: setup ## the tests, under eight minutes
	@$(PYTHON_HERE) $(PYTEST) -m "not matrix and not deploy"

test-deploy: setup build release-environment lambda-environment node-environment ## the built functions, the template and its policies
	@$(PYTHON_HERE) -m pytest -m deploy

test-sample: setup ## the engines, versions and strategies that `make test` leaves out
	@$(PYTHON_HERE) $(PYTEST) -m "matrix and not deploy"

test-matrix: setup ## every crash and every pause, for hours; writes docs/failure-modes.md
	@$(PYTHON_HERE) -m tests.kit.failure_modes --write

test-all: setup build release-environment lambda-environment node-environment ## every test; test-matrix measures besides
	@$(PYTHON_HERE) $(PYTEST) -m "not deploy"
	@$(PYTHON_HERE) -m pytest -m deploy

coverage: setup ## the tests once more, with a report of what they do not reach
	@$(PYTHON_HERE) -m coverage run $(PYTEST) -m "not matrix and not deploy"
	@$(PYTHON_HERE) -m coverage combine --quiet
	@$(PYTHON_HERE) -m coverage report --show-missing --skip-covered

.PHONY: histories
histories: setup ## every history of two deliveries and two faults; writes the record
	@$(PYTHON_HERE) -m tests.histories

.PHONY: mutants
mutants: mutants-environment ## change the modules that decide; writes docs/mutants.md, some minutes
	@.venv-mutants/bin/python -m tests.kit.mutants

.PHONY: check format
check: environment sam-environment scan-environment release-environment ## ruff, mypy, cfn-lint, SAM's validation, checkov, GitHub's schemas
	@$(PYTHON_HERE) -m ruff check
	@$(PYTHON_HERE) -m ruff format --check
	@$(PYTHON_HERE) -m mypy
	@.venv/bin/cfn-lint template.yaml examples/*.yaml examples/*/*.yaml
	@.venv-sam/bin/sam validate --lint
	@.venv-scan/bin/checkov --quiet --compact --skip-download --framework cloudformation \
		--file template.yaml examples/*.yaml examples/*/*.yaml
	@$(SCHEMA) vendor.github-workflows .github/workflows/*.yaml
	@$(SCHEMA) vendor.dependabot .github/dependabot.yml
	@$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(SCHEMA) vendor.github-issue-forms \
		$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	@.venv-release/bin/pre-commit validate-config

format: environment ## let ruff mend what it can
	@$(PYTHON_HERE) -m ruff check --fix
	@$(PYTHON_HERE) -m ruff format

.PHONY: pages
pages: environment ## write what the code says into the runbook and the diagrams
	@$(PYTHON_HERE) -m tests.pages

.PHONY: bench
bench: setup ## cold start and warm rotation of each strategy, as ratios to the bare calls
	@$(PYTHON_HERE) -m local.bench $(if $(PAIRS),--pairs $(PAIRS))

.PHONY: build invoke stage
build: environment sam-environment ## build layer and functions for x86_64 and arm64, without containers
	@$(PYTHON_HERE) -m local.build

FUNCTION ?= PostgresRotator
EVENT ?= events/postgres-create-secret.json
invoke: setup ## run one function with one event: FUNCTION=MysqlRotator EVENT=events/mysql-test-secret.json
	@$(PYTHON_HERE) -m local.lambda_runtime $(FUNCTION) --event $(EVENT)

stage: setup ## a playground: servers, Secrets Manager, functions, secrets well and broken, until Ctrl-C
	@$(PYTHON_HERE) -m local.stage

.PHONY: new-rotator
new-rotator: environment ## begin one: NAME=example TITLE=Example PORT=1234
	@$(PYTHON_HERE) -m local.new_rotator "$(NAME)" "$(TITLE)" "$(PORT)"

.PHONY: verify-live release
PROBES ?=
verify-live: environment ## ask a live AWS account what no simulator knows; says the costs, and asks first
	@$(PYTHON_HERE) -m probes $(PROBES)

release: build release-environment ## plain CloudFormation, code, checksums, bill of materials: build/release
	@$(PYTHON_HERE) -m local.release

.PHONY: lock
lock: environment ## resolve every dependency anew and write the locks
	@local/lock.sh

.PHONY: clean distclean
clean: ## remove what builds and tests leave behind
	@rm -rf .aws-sam build mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments, too
	@rm -rf .venv .venv-sam .venv-scan .venv-lambda .venv-mutants .venv-release tests/deployment/node_modules
