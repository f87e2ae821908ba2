//! Ports: one service each, and the firewall open for what must be reached and for nothing more.

use crate::inventory::findings::Findings;
use crate::inventory::model::Host;
use crate::inventory::problem::Problem;

pub(super) fn check(host: &Host, findings: &mut Findings<'_>) {
    let services = [
        ("ssh.port", "the SSH server's", Some(host.ssh.port)),
        ("nginx.http_port", "nginx's for HTTP", Some(host.nginx.http_port)),
        ("nginx.https_port", "nginx's for TLS", Some(host.nginx.https_port)),
        ("nginx.extra_port", "nginx's extra one", host.nginx.extra_port),
        ("postgres.port", "PostgreSQL's", Some(host.postgres.port)),
    ];
    for (index, &(key, own, port)) in services.iter().enumerate() {
        let Some(port) = port else { continue };
        if port == 0 {
            findings.refuse(key, Problem::PortZero);
        } else if let Some(&(first, other, _)) =
            services[..index].iter().find(|(_, _, taken)| *taken == Some(port))
        {
            // Told at the one that was written: the other may be a default.
            let (key, other) = if findings.is_default(key) { (first, own) } else { (key, other) };
            findings.refuse(key, Problem::PortTaken { port, other });
        }
    }
    open(host, findings);
}

fn open(host: &Host, findings: &mut Findings<'_>) {
    let open = &host.firewall.open;
    // A port that two services want is told as that and not once more here.
    let served =
        [Some(host.ssh.port), Some(host.nginx.http_port), Some(host.nginx.https_port), host.nginx.extra_port];
    for (index, &port) in open.iter().enumerate() {
        let key = format!("firewall.open[{index}]");
        if port == 0 {
            findings.refuse(&key, Problem::PortZero);
        } else if open[..index].contains(&port) {
            findings.refuse(&key, Problem::OpenTwice { port });
        } else if port == host.postgres.port && !served.contains(&Some(port)) {
            findings.refuse(&key, Problem::DatabaseOpen { port });
        }
    }
    if !open.contains(&host.ssh.port) {
        findings.refuse_any(&["firewall.open", "ssh.port"], Problem::LockOut { port: host.ssh.port });
    }
    let web = [
        ("nginx.http_port", Some(host.nginx.http_port)),
        ("nginx.https_port", Some(host.nginx.https_port)),
        ("nginx.extra_port", host.nginx.extra_port),
    ];
    for (index, &(key, port)) in web.iter().enumerate() {
        let told = |port: u16| {
            [0, host.postgres.port].contains(&port)
                || web[..index].iter().any(|(_, same)| *same == Some(port))
        };
        if let Some(port) = port.filter(|&port| !told(port) && !open.contains(&port)) {
            findings.refuse_any(&["firewall.open", key], Problem::WebPortClosed { port, key });
        }
    }
}
