#!/usr/bin/env bash
# Writes every lock: exact versions with hashes, good for CPython 3.11 to 3.13 on every platform.
# What the functions carry is held to the versions that the tests run with.
set -euo pipefail

lock() {
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    --upgrade "$@"
}

lock pyproject.toml --group dev --output-file requirements/dev.txt
lock --group uv --output-file requirements/uv.txt
lock --group sam --output-file requirements/sam.txt
lock --group scan --output-file requirements/scan.txt
lock --group mutants --constraint requirements/dev.txt --output-file requirements/mutants.txt
lock --group release --output-file requirements/release.txt
lock --group lambda --constraint requirements/dev.txt --output-file requirements/lambda.txt
lock --group layer --constraint requirements/dev.txt --output-file shared/requirements.txt
lock --group postgres --constraint requirements/dev.txt --output-file rotators/postgres/requirements.txt
lock --group mysql --constraint requirements/dev.txt --output-file rotators/mysql/requirements.txt
lock --group escrow --constraint requirements/dev.txt --output-file escrow/requirements.txt
lock --group valkey --constraint requirements/dev.txt --output-file rotators/valkey/requirements.txt
lock --group examples --constraint requirements/dev.txt --output-file examples/users/requirements.txt
