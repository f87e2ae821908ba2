//! What can be reached of a droplet from outside: the ports of the inventory, and nothing more behind them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::deploy::get;
use crate::deployed::{deployed, sql};
use crate::droplet::{Droplet, can_boot, said, wait_until};
use crate::workstation::Workstation;

/// Far more than a packet needs to a droplet on this machine; a dropped one is never answered.
const ANSWER: Duration = Duration::from_millis(700);
/// Connections under way at once.
const WIDTH: usize = 600;

/// The TCP ports from 1 to 10000 that accept connections.
fn open_ports(droplet: &Droplet) -> BTreeSet<u16> {
    let address: std::net::IpAddr = droplet.address.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let places = Arc::new(Semaphore::new(WIDTH));
        let mut tries = tokio::task::JoinSet::new();
        for port in 1..=10_000_u16 {
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            tries.spawn(async move {
                let connected = TcpStream::connect(SocketAddr::new(address, port));
                let open = matches!(tokio::time::timeout(ANSWER, connected).await, Ok(Ok(_)));
                drop(place);
                open.then_some(port)
            });
        }
        tries.join_all().await.into_iter().flatten().collect()
    })
}

#[test]
fn the_open_ports_are_those_of_the_inventory() {
    if !can_boot("the_open_ports_are_those_of_the_inventory") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "ports");
    // Somebody's own servers listen, too, on all addresses.
    droplet.told("systemd-run -q --unit=stray systemd-socket-activate --listen=0.0.0.0:9000 cat");
    wait_until("a stray server", Duration::from_secs(10), || {
        droplet.told("ss -Htln sport = :9000").contains("0.0.0.0:9000")
    });
    sql(&droplet, "postgres", "alter system set listen_addresses = '*'");
    droplet.told("systemctl restart postgresql@17-sep && ss -Htln sport = :5432 | grep -q 0.0.0.0:5432");
    assert_eq!(open_ports(&droplet), BTreeSet::from([22, 80, 443]));

    let workstation = Workstation::of(&droplet).set("firewall.open", json!([22, 80, 443, 8080]));
    workstation.set("nginx.extra_port", json!(8080)).mend();
    assert_eq!(open_ports(&droplet), BTreeSet::from([22, 80, 443, 8080]));
    assert_eq!(
        droplet.told("ss -Htln sport = :5432 | grep -c 0.0.0.0 || true"),
        "0",
        "mended by the same deployment"
    );
}

#[test]
fn the_web_server_shows_the_status_and_nothing_else() {
    if !can_boot("the_web_server_shows_the_status_and_nothing_else") {
        return;
    }
    let base = deployed();
    let (code, body) = get(&base, "http://DROPLET/api/status", &[]);
    assert_eq!((code, body.contains("\"observe\"")), (200, true), "{body}");
    assert_eq!(get(&base, "http://DROPLET/api/performance/daily", &[]).0, 200);
    let (code, head) = get(&base, "http://DROPLET/anything?x=1", &["--head"]);
    assert_eq!(code, 301, "{head}");
    assert!(head.contains(&format!("Location: https://{}/anything?x=1", base.address)), "{head}");
    assert!(!head.contains("nginx/"), "the version is nobody's business: {head}");

    // The certificate is the droplet's own, and holds for its address.
    let certificate = std::env::temp_dir().join(format!("{}.pem", base.name));
    std::fs::write(&certificate, base.told("cat /etc/sep/tls/certificate.pem")).unwrap();
    let trusted = ["--cacert", certificate.to_str().unwrap()];
    let (code, body) = get(&base, "https://DROPLET/api/status", &trusted);
    let untrusted = get(&base, "https://DROPLET/api/status", &[]);
    let other = get(&base, "https://DROPLET/", &trusted);
    let old = get(&base, "https://DROPLET/api/status", &["--insecure", "--tlsv1.0", "--tls-max", "1.1"]);
    std::fs::remove_file(&certificate).unwrap();
    assert_eq!((code, body.contains("\"observe\"")), (200, true), "{body}");
    assert_eq!((untrusted.0, other.0, old.0), (0, 404, 0));

    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://DROPLET/api/status");
            let (code, body) = get(&base, &url, &["--insecure", "--request", method, "--data", "x=1"]);
            assert_eq!(code, 403, "{method} {scheme}: {body}");
        }
    }
    let big = "x".repeat(20_000);
    assert_eq!(get(&base, "http://DROPLET/api/status", &["--data", &big]).0, 413);
}

#[test]
fn ssh_is_for_the_networks_of_the_inventory() {
    if !can_boot("ssh_is_for_the_networks_of_the_inventory") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "from");
    let ours = format!("{}/24", droplet.address.rsplit_once('.').unwrap().0.to_owned() + ".0");
    let workstation = Workstation::of(&droplet).set("firewall.ssh_from", json!([ours, "2001:db8::/32"]));
    assert_eq!(workstation.mend().planned, ["firewall inet sep"]);
    assert_eq!(workstation.plan(), [""; 0]);

    // Another network's: this shuts us out, while the connection that does it lives on to its end.
    let foreign = Workstation::of(&droplet).set("firewall.ssh_from", json!(["203.0.113.0/24"]));
    let deployed = foreign.mend();
    assert_eq!((deployed.planned.as_slice(), deployed.applied), (&["firewall inet sep".to_owned()][..], 1));
    let output = Command::new("ssh-keyscan").args(["-T", "3", &droplet.address]).output().unwrap();
    assert!(output.stdout.is_empty(), "SSH is open: {}", said(&output));
    let refused = foreign.refused(&["plan"], 1);
    assert!(refused.contains("no answer within 15 s while waiting for the TCP connection"), "{refused}");
    assert_eq!(get(&droplet, "http://DROPLET/api/status", &[]).0, 200, "the other ports stay open");

    // The way back is the console.
    droplet.told("nft delete table inet sep");
    assert_eq!(Workstation::of(&droplet).mend().planned, ["firewall inet sep"]);
    assert!(droplet.ssh("true").status.success());
}

#[test]
fn new_ssh_connections_are_counted() {
    if !can_boot("new_ssh_connections_are_counted") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "rate");
    Workstation::of(&droplet).set("firewall.ssh_rate", json!(5)).mend();
    let address = format!("{}:22", droplet.address).parse().unwrap();
    let connects = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(900)).is_ok();
    let accepted = (0..9).filter(|_| connects()).count();
    assert!((5..=6).contains(&accepted), "{accepted} of 9 at once were let in");
}
