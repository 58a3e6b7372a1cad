# Sourced: installs Debian packages where that is allowed, and otherwise says the one line to run.
# shellcheck shell=bash

_as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

_may_install() {
    command -v apt-get >/dev/null && { [[ $(id -u) == 0 ]] || sudo -n true 2>/dev/null; }
}

# missing_packages NAME... prints those that are not installed.
missing_packages() {
    local name
    for name in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
    done
}

# install_packages NAME... succeeds when all of them are installed afterwards.
install_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    if ! _may_install; then
        echo "Debian packages are missing; to install them: sudo apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "installing Debian packages: ${missing[*]}" >&2
    local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
    {
        _as_root "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" ||
            { _as_root "${apt[@]}" update && _as_root "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"; }
    } >&2 </dev/null || {
        echo "could not install ${missing[*]}; by hand: sudo apt-get install ${missing[*]}" >&2
        return 1
    }
}
