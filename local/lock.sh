#!/usr/bin/env bash
# Writes every lock: exact versions with hashes, good for CPython 3.11 to 3.13 on every platform.
# What the functions carry is held to the versions that the tests run with.
#
#   local/lock.sh         # everything, in its newest version
#   local/lock.sh valkey  # what this group brings, beside all the rest as it is
set -euo pipefail

only=${1:-}

lock() {
  local group=$1 upgrade=(--upgrade)
  shift
  if [ -n "$only" ]; then
    upgrade=()
    case $group in dev | mutants | "$only") ;; *) return 0 ;; esac
  fi
  # The command's own requirements are the project's; all others are groups.
  [ "$group" = console ] || set -- --group "$group" "$@"
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    "${upgrade[@]}" "$@"
}

lock dev pyproject.toml --output-file requirements/dev.txt
lock console pyproject.toml --all-extras --constraint requirements/dev.txt --output-file requirements/console.txt
lock uv --output-file requirements/uv.txt
lock sam --output-file requirements/sam.txt
lock scan --output-file requirements/scan.txt
lock mutants --constraint requirements/dev.txt --output-file requirements/mutants.txt
lock release --output-file requirements/release.txt
lock lambda --constraint requirements/dev.txt --output-file requirements/lambda.txt
lock layer --constraint requirements/dev.txt --output-file shared/requirements.txt
lock postgres --constraint requirements/dev.txt --output-file rotators/postgres/requirements.txt
lock mysql --constraint requirements/dev.txt --output-file rotators/mysql/requirements.txt
lock valkey --constraint requirements/dev.txt --output-file rotators/valkey/requirements.txt
lock escrow --constraint requirements/dev.txt --output-file escrow/requirements.txt
lock examples --constraint requirements/dev.txt --output-file examples/users/requirements.txt
