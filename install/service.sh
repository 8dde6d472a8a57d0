# What install/server, install/client and install/uninstall share: places, options, and every change they make to a machine.
# Each change goes through one of the `put_*` words: with --dry-run it is only told, else it is done and written into the manifest.
# Expects $root (where this file's folder stands) and $role (server or client).
# shellcheck shell=sh

root=${root:?}
role=${role:?}
user_mode=no
dry=no
yes=no
rollback=no
purge=no
everybody=no
stage=
prefix=
wheelhouse=
changes=0

usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
}

# options ARGS: reads the command line into the variables above.
options() {
    while [ $# -gt 0 ]; do
        case "$1" in
        --user) user_mode=yes ;;
        --dry-run | -n) dry=yes ;;
        --yes | -y) yes=yes ;;
        --rollback) rollback=yes ;;
        --purge) purge=yes ;;
        --root) stage=$(value "$@") && shift ;;
        --prefix) prefix=$(value "$@") && shift ;;
        --offline) wheelhouse=$(value "$@") && shift ;;
        --root=*) stage=${1#*=} ;;
        --prefix=*) prefix=${1#*=} ;;
        --offline=*) wheelhouse=${1#*=} ;;
        -h | --help) usage && exit 0 ;;
        *) stop_usage "$1 is not an option of $(basename "$0"). See: $0 --help" ;;
        esac
        shift
    done
    if [ -n "$wheelhouse" ]; then
        wheelhouse=$(cd "$wheelhouse" 2>/dev/null && pwd) || stop_usage "there is no folder of wheels at the place named with --offline."
    fi
}

value() {
    [ $# -ge 2 ] || stop_usage "$1 wants a value."
    printf '%s' "$2"
}

stop_usage() {
    say "error: $*"
    exit 2
}

# places: where everything goes, from the mode.
places() {
    if [ "$user_mode" = yes ]; then
        : "${HOME:?}"
        prefix=${prefix:-${XDG_DATA_HOME:-$HOME/.local/share}/dmc}
        bin=$HOME/.local/bin
        config=${XDG_CONFIG_HOME:-$HOME/.config}/dmc
        units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
        state=${XDG_STATE_HOME:-$HOME/.local/state}/dmc
        systemctl="systemctl --user"
    else
        prefix=${prefix:-/opt/dmc}
        bin=/usr/local/bin
        config=/etc/dmc
        units=/etc/systemd/system
        state=/var/lib/dmc
        systemctl=systemctl
        if [ "$role" = client ]; then
            # A service of every user's session: the system's own manager does not know it.
            units=/etc/systemd/user
            systemctl="systemctl --user"
            everybody=yes
        fi
    fi
    case "$prefix$stage" in *"
"*) stop_usage "a folder's name holds a line break." ;; esac
    case "$prefix" in /*) ;; *) stop_usage "--prefix wants a whole path." ;; esac
    manifest=$stage$prefix/manifest-$role
    service=dmc-$role.service
}

may_write_there() {
    if [ "$user_mode" = no ] && [ -z "$stage" ] && [ "$(id -u)" -ne 0 ]; then
        stop_usage "this installs for the whole machine and wants root: sudo $0 … For you alone: $0 --user"
    fi
}

# agree TEXT: ask before anything is changed; without a terminal only --yes will do.
agree() {
    if [ "$yes" = yes ] || [ "$dry" = yes ]; then
        return 0
    fi
    [ -t 0 ] || stop_usage "there is no terminal to ask on: say --yes, or look first with --dry-run."
    printf '%s [y/N] ' "$1" >&2
    read -r answer || answer=
    case "$answer" in y | Y | yes) ;; *) say "Nothing was changed." && exit 1 ;; esac
}

changed() {
    changes=$((changes + 1))
    if [ "$dry" = yes ]; then
        say "would $*"
    else
        say "$*"
    fi
}

sum_of() {
    cksum <"$1" | cut -d ' ' -f 1
}

# record KIND PATH [SUM]: what uninstall will remove: d (folder, if empty), f (file, if unchanged), l (link), t (whole tree).
record() {
    printf '%s %s %s\n' "$1" "${3:--}" "$2" >>"$records"
}

# put_folder PATH: with those above it; each is taken back only if it was made here and is empty then.
put_folder() {
    case "$1" in / | .) return 0 ;; esac
    put_folder "$(dirname "$1")"
    if grep -qxF "d - $1" "$records"; then
        return 0
    fi
    if ! [ -d "$stage$1" ]; then
        changed "make the folder $stage$1"
        [ "$dry" = yes ] || mkdir -p "$stage$1"
        record d "$1"
    elif [ -f "$manifest" ] && grep -qxF "d - $1" "$manifest"; then
        record d "$1"
    fi
}

# put_file SOURCE PATH MODE: a file of ours; written through a temporary name, so that nobody sees half of it.
put_file() {
    if ! [ -f "$stage$2" ] || ! cmp -s "$1" "$stage$2"; then
        changed "write $stage$2"
        if [ "$dry" = no ]; then
            cp "$1" "$stage$2.dmc-new"
            chmod "$3" "$stage$2.dmc-new"
            mv -f "$stage$2.dmc-new" "$stage$2"
        fi
    fi
    record f "$2" "$(sum_of "$1")"
}

# put_config SOURCE PATH: the user's own from the first day on: never overwritten, never removed; newer examples stand beside it.
put_config() {
    if ! [ -e "$stage$2" ]; then
        changed "write $stage$2"
        [ "$dry" = yes ] || cp "$1" "$stage$2"
    elif cmp -s "$1" "$stage$2"; then
        :
    else
        put_file "$1" "$2.new" 644
    fi
}

# put_link TARGET PATH: replaced in one step, so that there is no moment without it.
put_link() {
    if [ "$(readlink "$stage$2" || true)" != "$1" ]; then
        changed "link $stage$2 to $1"
        [ "$dry" = yes ] || replace_link "$1" "$stage$2"
    fi
    record l "$2"
}

replace_link() {
    "$python" -c 'import os, sys; new = sys.argv[2] + ".dmc-new"; os.path.lexists(new) and os.unlink(new); os.symlink(sys.argv[1], new); os.replace(new, sys.argv[2])' "$1" "$2"
}

# drop KIND SUM PATH: take back one line of a manifest; what somebody else changed or filled stays, and is named.
drop() {
    at=$stage$3
    case "$1" in
    f)
        [ -f "$at" ] || return 0
        if [ "$(sum_of "$at")" != "$2" ]; then
            say "$at was changed by somebody and stays."
            return 0
        fi
        changed "remove $at"
        [ "$dry" = yes ] || rm -f "$at"
        ;;
    l)
        [ -L "$at" ] || return 0
        changed "remove $at"
        [ "$dry" = yes ] || rm -f "$at"
        ;;
    t)
        [ -d "$at" ] || return 0
        changed "remove $at and all in it"
        [ "$dry" = yes ] || rm -rf "$at"
        ;;
    d)
        [ -d "$at" ] || return 0
        [ "$dry" = yes ] || rmdir "$at" 2>/dev/null || return 0
        changed "remove the folder $at"
        ;;
    esac
}

# drop_all FILE: every line of a manifest, files first, folders from the inside out. Between them the manifest itself: cut before that,
# it is begun again.
drop_all() {
    for kind in f l t; do
        while read -r what sum path; do
            [ "$what" != "$kind" ] || drop "$what" "$sum" "$path"
        done <"$1"
    done
    [ "$dry" = yes ] || rm -f "$manifest"
    grep '^d ' "$1" | LC_ALL=C sort -r | while read -r what sum path; do
        drop "$what" "$sum" "$path"
    done
}

systemd_runs() {
    [ -z "$stage" ] && [ -d /run/systemd/system ] || return 1
    [ "$everybody" = yes ] || $systemctl show-environment >/dev/null 2>&1
}

# service_word WORDS: one call of systemctl, told or made; of a unit for everybody, for sessions to come.
service_word() {
    command=$systemctl
    if [ "$everybody" = yes ]; then
        [ "$1" != daemon-reload ] || return 0
        command="systemctl --global"
    fi
    changed "run $command $*"
    # shellcheck disable=SC2086 # $command is a command and its option
    [ "$dry" = yes ] || $command "$@"
}

# in_sessions restart|stop: a unit for everybody, where it runs in a session of now.
in_sessions() {
    for person in $(loginctl list-users --no-legend 2>/dev/null | awk '{print $2}'); do
        if systemctl --user --machine "$person@" daemon-reload 2>/dev/null &&
            systemctl --user --machine "$person@" is-active --quiet "$service" 2>/dev/null; then
            changed "$1 $service of $person"
            [ "$dry" = yes ] || systemctl --user --machine "$person@" "$1" "$service" || say "$person's own does not $1; it will with their next session."
        fi
    done
}
