# The program itself: one environment per version, `current` is a link to the one that counts, `previous` to the one before.
# Sourced after service.sh by install/server and install/client.
# shellcheck shell=sh
# shellcheck disable=SC2154 # the variables are service.sh's

# version_name: the version and a sum of what it is made of, so that a changed checkout of the same version is another one.
version_name() {
    number=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/pyproject.toml" | head -n 1)
    content=$(cd "$root" && find dmc config pyproject.toml install/requirements.txt -type f ! -name '*.pyc' -exec cksum {} + |
        LC_ALL=C sort | cksum | cut -d ' ' -f 1)
    printf '%s-%s' "$number" "$content"
}

# put_program: makes the environment of this checkout's version, if it is not there, and makes it the current one.
put_program() {
    name=$(version_name)
    place=$stage$prefix/versions/$name
    if ! [ -x "$place/bin/python" ]; then
        changed "make $place with $("$python" --version) and what dmc needs (about 250 MB)"
        [ "$dry" = yes ] || make_environment "$place"
    fi
    now=$(readlink "$stage$prefix/current" || true)
    if [ -n "$now" ] && [ "$now" != "versions/$name" ]; then
        put_link "$now" "$prefix/previous"
    elif [ -L "$stage$prefix/previous" ]; then
        record l "$prefix/previous"
    fi
    put_link "versions/$name" "$prefix/current"
    prune_versions
}

# make_environment PLACE: under another name first, so that what stands at PLACE is whole.
make_environment() {
    building=$stage$prefix/versions/.building
    rm -rf "$building"
    "$python" -m venv "$building" || stop "Python's venv module is missing or broken. On Debian or Ubuntu: sudo apt install python3-venv"
    if [ -n "$wheelhouse" ]; then
        export PIP_NO_INDEX=1 PIP_FIND_LINKS="$wheelhouse"
    fi
    "$building/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "$root/install/requirements.txt" ||
        stop "the packages could not be installed. Is the network there? Without one: --offline FOLDER of wheels. Nothing else was changed."
    "$building/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation "$root" ||
        stop "dmc itself could not be installed. Nothing else was changed."
    "$building/bin/python" -m dmc --version >/dev/null || stop "the new version does not start. Nothing else was changed."
    mv "$building" "$1"
}

# prune_versions: only the current and the previous one stay; all of them stand in the manifest.
prune_versions() {
    for version in "$stage$prefix"/versions/*; do
        [ -d "$version" ] || continue
        short=versions/$(basename "$version")
        case "$short" in
        "$(readlink "$stage$prefix/current" || true)" | "$(readlink "$stage$prefix/previous" || true)" | "versions/$name") record t "$prefix/$short" ;;
        *) drop t - "$prefix/$short" ;;
        esac
    done
}

# roll_back: the previous version becomes the current one, and the other way round.
roll_back() {
    now=$(readlink "$stage$prefix/current" || true)
    before=$(readlink "$stage$prefix/previous" || true)
    [ -n "$before" ] && [ -x "$stage$prefix/$before/bin/python" ] || stop "there is no previous version to go back to in $stage$prefix."
    changed "go back from $(basename "$now") to $(basename "$before")"
    [ "$dry" = no ] || return 0
    replace_link "$before" "$stage$prefix/current"
    replace_link "$now" "$stage$prefix/previous"
}
