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

usable() { # Is this command a CPython that the lock was made for?
  "$1" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
  local candidate
  # pyenv's shims answer for versions that are not selected, so every candidate is really started.
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123].*/bin/python3; do
    if usable "$candidate"; then
      echo "$candidate"
      return
    fi
    if [ "$candidate" = "${PYTHON:-}" ]; then
      echo "PYTHON=$PYTHON is not CPython 3.11 to 3.13" >&2
      return 1
    fi
  done
  echo "No CPython 3.11 to 3.13 was found. Install one (Debian: apt-get install python3 python3-venv)," \
    "or name it: make PYTHON=/path/to/python3" >&2
  return 1
}

progress() { # Turns pip's lines into one line that moves, or into a line per ten packages in a log.
  local total=$1 seen=0 line name
  while IFS= read -r line; do
    case $line in
      Collecting*)
        seen=$((seen + 1))
        name=${line#Collecting }
        name=${name%% *}
        if [ -t 1 ]; then
          printf '\r\033[K%s: %d of %d packages, %s' "$environment" "$seen" "$total" "${name%%==*}"
        elif [ $((seen % 10)) -eq 0 ]; then
          printf '%s: %d of %d packages\n' "$environment" "$seen" "$total"
        fi
        ;;
      "Installing collected"*)
        if [ -t 1 ]; then printf '\r\033[K'; fi
        printf '%s: installing\n' "$environment"
        ;;
    esac
  done
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
log=$environment/install.log
if ! "$environment/bin/python" -m pip install --require-hashes --disable-pip-version-check \
  --progress-bar off --requirement "$lock" 2>&1 | tee "$log" | progress "$(grep -c '^[a-z0-9].*==' "$lock")"; then
  echo "Installing $lock failed; the end of $log:" >&2
  tail -n 15 "$log" >&2
  exit 1
fi
cp "$lock" "$environment/lock.txt"
echo "$environment: ready after $((SECONDS - started)) s"
