#!/usr/bin/env bash
# Compiles requirements.lock: every package at run time and in development, with hashes, for every Python and platform.
# Takes the newest versions allowed by pyproject.toml; give `--upgrade-package NAME` in LOCK_ARGS to move only one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

read -ra arguments <<<"${LOCK_ARGS:---upgrade}"
"${BIN:-.venv/bin}/uv" pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
    --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet \
    --output-file requirements.lock "${arguments[@]}"
