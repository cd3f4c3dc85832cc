#!/usr/bin/env bash
# Installs the Node.js packages that one folder's package-lock.json names, and does nothing when that is done.
set -euo pipefail

folder=$1
if cmp -s "$folder/package-lock.json" "$folder/node_modules/lock.json"; then
  exit 0
fi
if ! command -v npm >/dev/null; then
  echo "The policy tests need Node.js with npm (Debian: apt-get install nodejs npm)." >&2
  exit 1
fi
npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error
cp "$folder/package-lock.json" "$folder/node_modules/lock.json"
