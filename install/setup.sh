# Makes .venv beside pyproject.toml and installs dmc into it from the lock file. Sourced by install/try and install/test.
# Does nothing, and needs no network, when that has been done for the same lock file already.
# Expects $root (the checkout) and sets $dmc_python (the environment's Python).
# shellcheck shell=sh

root=${root:?}

say() { printf '%s\n' "$*" >&2; }

stop() {
    say "install: $*"
    exit 1
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -z "$candidate" ] || ! command -v "$candidate" >/dev/null 2>&1; then
            continue
        fi
        if "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# setup LOCKFILE: bring .venv to the state that LOCKFILE describes.
setup() {
    lock=$root/install/$1
    venv=$root/.venv
    dmc_python=$venv/bin/python
    stamp=$venv/.installed-$1
    want=$(cat "$lock" "$root/pyproject.toml" | cksum)-$root
    if [ -x "$dmc_python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && "$dmc_python" -c 'import dmc' 2>/dev/null; then
        return 0
    fi
    python=$(find_python) || stop "Python 3.11 or newer is needed. On Debian 12 or Ubuntu 24.04: sudo apt install python3 python3-venv"
    if ! [ -x "$dmc_python" ] || ! "$dmc_python" -c 'import pip' 2>/dev/null; then
        say "Making $venv with $("$python" --version) ..."
        rm -rf "$venv"
        "$python" -m venv "$venv" >"$root/.venv-problem" 2>&1 || {
            cat "$root/.venv-problem" >&2
            rm -rf "$venv" "$root/.venv-problem"
            stop "Python's venv module is missing or broken. On Debian or Ubuntu: sudo apt install python3-venv"
        }
        rm -f "$root/.venv-problem"
    fi
    say "Installing dmc and what it needs into $venv (about 250 MB, once) ..."
    "$dmc_python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "$lock" ||
        stop "the packages of install/$1 could not be installed. Is the network there? Run the command again; it goes on where it stopped."
    "$dmc_python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable "$root" ||
        stop "dmc itself could not be installed into $venv."
    printf '%s' "$want" >"$stamp"
}
