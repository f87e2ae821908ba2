//! The cable between the outer machine and a droplet: a veth with a /30. No NAT, no forwarding, no route but the /30.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::error::SandboxError;
use super::place::Name;
use super::program::{Process, run, run_with_input};
use super::subnet::{Route, Subnet};

const IP_LIMIT: Duration = Duration::from_secs(10);

/// Destinations of the outer machine's IPv4 routes, in all tables.
pub fn routes() -> Result<Vec<Route>, SandboxError> {
    #[derive(Deserialize)]
    struct Entry {
        dst: String,
    }
    let args = ["-json", "-4", "route", "show", "table", "all"];
    let text = run("ip", &args, IP_LIMIT)?;
    let text = if text.trim().is_empty() { "[]" } else { text.trim() };
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|error| SandboxError::Program {
        command: format!("ip {}", args.join(" ")),
        status: "unreadable answer".to_owned(),
        said: error.to_string(),
    })?;
    Ok(entries.iter().filter_map(|entry| Route::parse(&entry.dst)).collect())
}

/// Lays the cable: our end named after the subnet, the droplet's end `eth0`, as DigitalOcean has it.
pub fn connect(name: &Name, subnet: Subnet, inner: Process) -> Result<(), SandboxError> {
    if let Some(route) = routes()?.into_iter().find(|route| route.overlaps(subnet)) {
        return Err(SandboxError::SubnetTaken {
            name: name.to_string(),
            subnet: subnet.to_string(),
            route: route.to_string(),
        });
    }
    let (link, pid) = (subnet.link(), inner.pid.to_string());
    let outside = format!(
        "link add {link} type veth peer name eth0 netns {pid}\naddress add {}/30 dev {link}\nlink set {link} up\n",
        subnet.outside()
    );
    run_with_input("ip", &["-batch", "-"], &outside, IP_LIMIT)?;
    let inside = format!("address add {}/30 dev eth0\nlink set eth0 up\n", subnet.inside());
    run_with_input("nsenter", &["--target", &pid, "--net", "ip", "-batch", "-"], &inside, IP_LIMIT)?;
    Ok(())
}

/// Removes our end, where it has not gone with the droplet's.
pub fn disconnect(subnet: Subnet) -> Result<(), SandboxError> {
    if !is_connected(subnet) {
        return Ok(());
    }
    match run("ip", &["link", "delete", &subnet.link()], IP_LIMIT) {
        // The kernel removes it by itself, late, when the droplet's end has gone.
        Err(_) if !is_connected(subnet) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Whether the cable of this subnet has an end here.
pub fn is_connected(subnet: Subnet) -> bool {
    Path::new("/sys/class/net").join(subnet.link()).exists()
}
