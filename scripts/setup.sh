#!/usr/bin/env bash
# Installs the system packages that building, testing and the demo need, and says which. Debian, Ubuntu, Fedora.
set -euo pipefail

need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

# program:Debian package:Fedora package
wanted="cc:gcc:gcc c++:g++:gcc-c++ make:make:make curl:curl:curl ssh:openssh-client:openssh-clients ssh-keygen:openssh-client:openssh
psql:postgresql-client:postgresql mmdebstrap:mmdebstrap:mmdebstrap systemd-nspawn:systemd-container:systemd-container
losetup:mount:util-linux ip:iproute2:iproute nft:nftables:nftables mkfs.ext4:e2fsprogs:e2fsprogs
nsenter:util-linux:util-linux python3:python3:python3 pip3:python3-pip:python3-pip"

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: there is no cargo; install Rust from https://rustup.rs and run this again" >&2
    exit 1
fi

debian="" fedora=""
for entry in $wanted; do
    IFS=: read -r program deb rpm <<<"$entry"
    if ! need "$program"; then
        debian="$debian $deb" fedora="$fedora $rpm"
    fi
done
[ -n "$debian" ] || exit 0

sudo=""
if [ "$(id -u)" != 0 ]; then
    sudo="sudo"
fi
# shellcheck disable=SC2086 # lists of packages
if command -v apt-get >/dev/null 2>&1; then
    # Debian 12's keyring package knows Debian 13's keys; a bare Ubuntu has none of them.
    echo "setup: installing$debian debian-archive-keyring" >&2
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $debian debian-archive-keyring >/dev/null
elif command -v dnf >/dev/null 2>&1; then
    echo "setup: installing$fedora debian-keyring" >&2
    $sudo dnf install -y -q $fedora debian-keyring >/dev/null
else
    echo "setup: found neither apt-get nor dnf; install by hand what provides:$debian" >&2
    exit 1
fi
