# Installing one role: the program, its settings, its units. Sourced last by install/server and install/client.
# shellcheck shell=sh
# shellcheck disable=SC2154 # the variables are service.sh's

install_role() {
    places
    may_write_there
    python=$(find_python) || stop "Python 3.11 or newer is needed. On Debian 12 or Ubuntu 24.04: sudo apt install python3 python3-venv"
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    records=$scratch/records
    : >"$records"
    if [ "$rollback" = yes ]; then
        agree "Go back to the previous version of dmc in $stage$prefix?"
        roll_back
        restart_service
        return 0
    fi
    agree "Install the dmc $role into $stage$prefix, its settings into $stage$config?"
    for folder in "$prefix" "$prefix/versions" "$bin" "$units"; do
        put_folder "$folder"
    done
    put_program
    put_command
    put_settings
    put_units
    put_uninstaller
    store_manifest
    prepare_machine
    restart_service
    closing_words
}

# put_command: `dmc` on the PATH, whichever version is the current one.
put_command() {
    # What runs stays with the files of its version, also when another one becomes the current one meanwhile; it loads nothing from the
    # folder it was called in (-P).
    # shellcheck disable=SC2016 # the variables are those of the script
    printf '#!/bin/sh\nplace=$(cd -P "%s/current" && pwd) || exit 1\nexec "$place/bin/python" -P -m dmc "$@"\n' "$prefix" >"$scratch/dmc"
    put_file "$scratch/dmc" "$bin/dmc" 755
}

put_settings() {
    if [ "$role" = server ] || [ "$user_mode" = yes ]; then
        put_folder "$config"
    fi
    if [ "$role" = server ]; then
        # Said in the file, so that the commands of an administrator find the service's data.
        sed "s|^# data_folder = .*|data_folder = \"$state/server\"|" "$root/config/server.toml" >"$scratch/server.toml"
        put_config "$scratch/server.toml" "$config/server.toml"
    elif [ "$user_mode" = yes ]; then
        put_config "$root/config/client.toml" "$config/client.toml"
    fi
}

put_units() {
    if [ "$role" = client ]; then
        list="dmc-client.service"
    else
        list="dmc-server.service dmc-broker.service"
    fi
    for unit in $list; do
        from=$root/install/systemd/user/$unit
        if [ "$user_mode" = no ] && [ "$role" = server ]; then
            from=$root/install/systemd/system/$unit
        fi
        sed "s|@PROGRAM@|$bin/dmc|" "$from" >"$scratch/$unit"
        put_file "$scratch/$unit" "$units/$unit" 644
    done
    if [ "$user_mode" = no ] && [ "$role" = server ]; then
        put_folder /etc/sysusers.d
        put_file "$root/install/systemd/dmc.sysusers" /etc/sysusers.d/dmc.conf 644
    fi
}

# put_uninstaller: beside the program, so that the checkout may go.
put_uninstaller() {
    put_folder "$prefix/install"
    for file in uninstall service.sh setup.sh; do
        mode=644
        [ "$file" != uninstall ] || mode=755
        put_file "$root/install/$file" "$prefix/install/$file" "$mode"
    done
}

# store_manifest: the new one, after what only the old one names was taken away.
store_manifest() {
    LC_ALL=C sort -u "$records" >"$scratch/new"
    if [ -f "$manifest" ]; then
        cut -d ' ' -f 3- "$scratch/new" >"$scratch/paths"
        while read -r what sum path; do
            grep -qxF "$path" "$scratch/paths" || drop "$what" "$sum" "$path"
        done <"$manifest"
    fi
    if [ "$dry" = no ] && ! cmp -s "$scratch/new" "$manifest"; then
        cp "$scratch/new" "$manifest.dmc-new"
        mv -f "$manifest.dmc-new" "$manifest"
    fi
}

# prepare_machine: the system's user, once; the folders of the service are systemd's to make.
prepare_machine() {
    [ "$user_mode" = no ] && [ "$role" = server ] && [ -z "$stage" ] || return 0
    if ! id dmc >/dev/null 2>&1; then
        changed "make the system user dmc"
        if [ "$dry" = no ]; then
            systemd-sysusers /etc/sysusers.d/dmc.conf 2>/dev/null ||
                useradd --system --home-dir "$state" --shell /usr/sbin/nologin dmc
        fi
    fi
    if ! [ -d "$state" ]; then
        changed "make the folder $state"
        [ "$dry" = yes ] || install -d -o dmc -g dmc -m 750 "$state"
    fi
}

restart_service() {
    if ! systemd_runs; then
        return 0
    fi
    if [ "$changes" -eq 0 ] && unit_stands; then
        return 0
    fi
    service_word daemon-reload
    service_word enable "$service"
    if [ "$everybody" = yes ]; then
        in_sessions restart
        return 0
    fi
    # A running conversion is put back by the stop and begins anew; nothing of the queue is lost.
    service_word restart "$service"
    if [ "$role" = server ]; then
        # Where the broker runs alone, it is of the same version.
        service_word try-restart dmc-broker.service
    fi
}

unit_stands() {
    if [ "$everybody" = yes ]; then
        systemctl --global is-enabled --quiet "$service"
    else
        $systemctl is-active --quiet "$service"
    fi
}

closing_words() {
    if [ "$changes" -eq 0 ]; then
        say "Nothing to change: this version is installed already."
        return 0
    fi
    [ "$dry" = no ] || return 0
    as_owner=
    [ "$user_mode" = yes ] || as_owner="sudo -u dmc "
    say ""
    say "dmc $role $name is in $stage$prefix."
    if systemd_runs; then
        [ "$everybody" = no ] || say "It runs in each user's session from their next one on; in yours now: systemctl --user start $service"
        say "See it:       $systemctl status $service"
    else
        say "No systemd is at work here. Start it with: $bin/dmc $role run"
    fi
    if [ "$role" = client ] || [ "$user_mode" = yes ]; then
        say "Without being signed in: loginctl enable-linger $(id -un)"
    fi
    if [ "$role" = server ]; then
        say "Settings:     $config/server.toml"
        say "The page:     $as_owner$bin/dmc server token create NAME --scopes read,write,admin --link"
    else
        say "Next:         dmc client pair SERVER CODE, then dmc client folder add FOLDER"
    fi
    say "Go back:      $0 --rollback"
    say "Take it away: $prefix/install/uninstall $role$([ "$user_mode" = no ] || printf ' --user')"
}
