#!/usr/bin/env bash
# Installs the system packages that are missing (as root), or names them in one line and stops.
# Usage: scripts/setup.sh build|test|bench
set -euo pipefail

goal=${1:?usage: scripts/setup.sh build|test|bench}

tools=(cargo)
packages=(g++ make libclang1-14 libclang-common-14-dev) # RocksDB is C++, and its bindings are made by libclang
case $goal in
    build) ;;
    test)
        tools+=(node npm python3)
        packages+=(mosquitto mosquitto-clients strace valgrind python3-venv curl)
        ;;
    bench) packages+=(mosquitto strace valgrind) ;;
    *)
        echo "scripts/setup.sh: unknown goal '$goal', use build, test or bench" >&2
        exit 2
        ;;
esac

missing_tools=()
for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || missing_tools+=("$tool")
done
if ((${#missing_tools[@]})); then
    echo "missing: ${missing_tools[*]} (Rust 1.95 or newer, Node 20 or newer and Python 3.11 or newer are expected to be here)" >&2
    exit 1
fi

if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian system: please see to it that these are installed: ${packages[*]}" >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

# Debian starts a broker when it installs one. Ours wants the port, and a test wants only the program,
# so the unit is masked: it starts neither now nor at the next boot.
unit=/etc/systemd/system/mosquitto.service
brings_daemon() { [[ " ${missing[*]} " == *" mosquitto "* && ! -e $unit && ! -L $unit ]]; }

if [[ $(id -u) != 0 ]]; then
    echo "Some system packages are missing. Paste this line, then run make again:" >&2
    line="sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    brings_daemon && line="sudo ln -s /dev/null $unit && $line"
    echo "$line"
    exit 1
fi

# Without systemd the package's script starts the daemon unless this policy forbids it.
policy=/usr/sbin/policy-rc.d
if brings_daemon; then
    mkdir -p "${unit%/*}"
    ln -s /dev/null "$unit"
    if [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q </dev/null
apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null
