#!/usr/bin/env bash
# test.sh "DEBIAN PACKAGES" [PYTEST ARGUMENTS...] runs the whole suite, after installing the packages where that is allowed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh

read -ra packages <<<"$1"
shift
install_packages "${packages[@]}" || echo "the tests that need them will not run; the summary below names them" >&2
export HYPOTHESIS_PROFILE="${HYPOTHESIS_PROFILE:-usual}"
exec "${BIN:-.venv/bin}/pytest" "$@"
