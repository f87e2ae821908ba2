#!/usr/bin/env bash
# Every test. A scratch PostgreSQL with TimescaleDB for the executor's own tests runs in a sandbox droplet; the tests of
# sepctl boot droplets of their own. What cannot run says so by name.
set -euo pipefail
cd "$(dirname "$0")/.."
sepctl=target/debug/sepctl
sudo=""
if [ "$(id -u)" != 0 ]; then
    # Built as you, run as root.
    sudo="sudo --preserve-env"
    target=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${target}_RUNNER=$sudo"
fi

cargo build --workspace --locked --features sepctl/failpoints

name=testpg$$
down() { $sudo $sepctl sandbox down "$name" >/dev/null 2>&1 || true; }
trap down EXIT
$sudo $sepctl --json sandbox up "$name" >"target/$name.json"
inside() { $sudo $sepctl sandbox exec "$name" -- sh -ec "$1"; }
echo "test: installing PostgreSQL in droplet $name" >&2
inside "mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/test.conf
        export DEBIAN_FRONTEND=noninteractive
        apt-get install -qq -y --no-install-recommends postgresql-17 postgresql-17-timescaledb >/dev/null
        pg_createcluster 17 test -- --auth=trust >/dev/null
        printf \"shared_preload_libraries = 'timescaledb'\ntimescaledb.telemetry_level = off\nfsync = off\n\" \
            > /etc/postgresql/17/test/conf.d/test.conf
        systemctl start postgresql@17-test
        pg_isready -q"
pid=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["droplets"][0]["pid"])' "target/$name.json")
rm -f "target/$name.json"
# Not by /var/run: an absolute link would lead back out of the droplet.
export SEP_TEST_PG=/proc/$pid/root/run/postgresql

cargo test --workspace --locked --features sepctl/failpoints
