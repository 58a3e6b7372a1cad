#!/usr/bin/env bash
# Builds .venv from requirements.lock. Does nothing, quickly, when the lock, the project file and the place are unchanged.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh

readonly venv=.venv
readonly stamp=$venv/.stamp
readonly oldest='import sys; sys.exit(sys.version_info < (3, 11))'

# Content, not times, so that a checkout of the same commit costs nothing. The place counts: a venv cannot be moved.
key() {
    pwd
    sha256sum requirements.lock pyproject.toml scripts/setup.sh
}

is_built() {
    [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "$wanted" ]] && "$venv/bin/python" -c ''
}

find_python() {
    local name
    for name in ${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14}; do
        if "$name" -c "$oldest" 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

main() {
    local wanted python packages
    wanted=$(key)
    is_built && return
    exec 9<scripts/setup.sh
    flock 9 # two targets at once build it once
    is_built && return

    if ! python=$(find_python); then
        install_packages python3 python3-venv || true
        python=$(find_python) || {
            echo "setup: Python 3.11 or newer is needed, and none was found (PYTHON=/path/to/python3 names one)" >&2
            exit 1
        }
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        packages=$("$python" -c 'import sys; print(f"python3.{sys.version_info.minor}-venv")')
        install_packages "$packages" || exit 1
    fi

    echo "setup: building $venv with $("$python" --version)" >&2
    rm -f "$stamp"
    # A venv that was copied, or made by another Python, is made anew; else packages are brought up to date in place.
    if ! [[ -f $venv/.place && $(<"$venv/.place") == "$PWD $python" ]] || ! "$venv/bin/python" -c "$oldest" 2>/dev/null; then
        "$python" -m venv --clear "$venv"
        echo "$PWD $python" >"$venv/.place"
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement requirements.lock
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index \
        --editable .
    echo "$wanted" >"$stamp"
    echo "setup: done" >&2
}

main
