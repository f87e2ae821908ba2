#!/bin/sh
# What a person types on a bare droplet to have its packages and a PostgreSQL cluster on the volume, as one script:
#
#   ssh root@DROPLET sh -s < bench/rivals/bare_by_hand.sh
#
# The packages and the cluster are those of `sepctl deploy`; nothing else that it does is done here.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
volume=/dev/disk/by-id/scsi-0DO_Volume_sep-data

mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/by-hand.conf
ls /var/lib/apt/lists/*_Packages* > /dev/null 2>&1 || apt-get update -qq
apt-get install -qq -y --no-install-recommends ca-certificates cron e2fsprogs nftables nginx-light openssl sudo \
    systemd-timesyncd unattended-upgrades xfsprogs postgresql-17 postgresql-17-timescaledb postgresql-client-17 > /dev/null
mkfs.ext4 -q -m 1 "$volume"
mkdir -p /mnt/sep_data
mount -o noatime "$volume" /mnt/sep_data
install -d -o postgres -m 0755 /mnt/sep_data/postgresql
pg_createcluster 17 sep --datadir /mnt/sep_data/postgresql/17/sep --locale C.UTF-8 -- --data-checksums > /dev/null
systemctl daemon-reload
systemctl start postgresql@17-sep.service
