#!/usr/bin/env bash
# Makes one virtual environment from one lock file, and does nothing when it is up to date.
#
#   local/setup.sh .venv requirements/dev.txt
#
# The environment keeps a copy of the lock that it was made from, and that copy is what "up to date"
# means. PYTHON names the interpreter to use; without it the newest one from 3.11 to 3.13 is looked for.
set -euo pipefail

environment=$1
lock=$2
pip=("$environment/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes)

usable() { # Is this command a CPython that the lock was made for?
  "$1" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    usable "$PYTHON" && echo "$PYTHON" && return
    echo "PYTHON=$PYTHON is not CPython 3.11 to 3.13 with venv" >&2
    return 1
  fi
  # pyenv's shims answer for versions that are not selected, so every candidate is really started.
  for candidate in python3.13 python3.12 python3.11 python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123].*/bin/python3; do
    if usable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  echo "No CPython 3.11 to 3.13 was found. Install one (Debian: apt-get install python3 python3-venv)," \
    "or name it: make PYTHON=/path/to/python3" >&2
  return 1
}

if cmp -s "$lock" "$environment/lock.txt" && usable "$environment/bin/python"; then
  exit 0
fi

started=$SECONDS
if ! usable "$environment/bin/python"; then
  python=$(find_python)
  echo "$environment: made with $("$python" -V)"
  rm -rf "$environment"
  "$python" -m venv "$environment"
fi
"${pip[@]}" --requirement requirements/uv.txt
echo "$environment: installing $lock"
# uv needs a seventh of pip's time and shows its progress to a person; pip knows pip.conf's mirrors.
# Compiled, as Lambda's own packages are: else every new process would compile anew wherever
# PYTHONDONTWRITEBYTECODE is set.
uv=("$environment/bin/uv" pip install --compile-bytecode --require-hashes --requirement "$lock")
if [ ! -t 2 ]; then
  uv+=(--quiet)
fi
if ! VIRTUAL_ENV=$environment "${uv[@]}"; then
  echo "$environment: uv could not, now pip tries; that takes a minute"
  "${pip[@]}" --requirement "$lock"
fi
cp "$lock" "$environment/lock.txt"
echo "$environment: ready after $((SECONDS - started)) s"
