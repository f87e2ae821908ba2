//! Addresses, networks and host keys: whether they are well formed. Asks no network.

use std::net::IpAddr;

use russh::keys::PublicKey;

/// Why a network is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("expected an IP address or CIDR such as 203.0.113.7 or 10.0.0.0/8")]
    Address,
    #[error("the prefix must be a number from 0 to {0}")]
    Prefix(u8),
    #[error("it has bits set beyond its prefix: write {0}")]
    HostBits(String),
    #[error("it is the whole internet: leave the list empty to say so")]
    Everyone,
}

/// Checks an address or CIDR.
pub fn check_network(text: &str) -> Result<(), NetworkError> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
    let (bits, width): (u128, u8) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let Some(prefix) = prefix else { return Ok(()) };
    let prefix = prefix
        .parse::<u8>()
        .ok()
        .filter(|&p| p <= width && !prefix.starts_with('+'))
        .ok_or(NetworkError::Prefix(width))?;
    if prefix == 0 {
        return Err(NetworkError::Everyone);
    }
    let kept = bits & (u128::MAX << (128 - u32::from(prefix)));
    if kept == bits {
        return Ok(());
    }
    let network = match address {
        IpAddr::V4(_) => {
            let [a, b, c, d, ..] = kept.to_be_bytes();
            IpAddr::from([a, b, c, d])
        }
        IpAddr::V6(_) => IpAddr::from(kept.to_be_bytes()),
    };
    Err(NetworkError::HostBits(format!("{network}/{prefix}")))
}

/// Checks the name or address of a host; the error is what to do.
pub fn check_address(text: &str) -> Result<(), &'static str> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if text.contains('@') {
        return Err("write the user as ssh.user");
    }
    if text.contains("://") || text.contains('/') {
        return Err("remove the protocol and the path");
    }
    if text.contains(':') {
        return Err("write the port as ssh.port");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("a name holds letters, digits and `-` between dots");
    }
    // The resolver would take `10.1` or `1.2.3.400` for something, and not for what was meant.
    if name.split('.').next_back().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err("an IPv4 address has four numbers from 0 to 255");
    }
    Ok(())
}

/// Why a host key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    #[error("found an MD5 fingerprint, expected the SHA-256 one (`SHA256:` and 43 characters)")]
    Md5,
    #[error("found `SHA256:` with {0} characters after it, expected 43 of base64")]
    Fingerprint(usize),
    #[error("expected `SHA256:` and 43 characters, or a public key line such as `ssh-ed25519 AAAA...`")]
    Neither,
    #[error("found a public key line that cannot be decoded: copy it whole, on one line")]
    Key,
    #[error("found a private key: expected the public one (and if this file was shared, replace the key)")]
    Private,
}

/// Checks a fingerprint or public key line.
pub fn check_host_key(text: &str) -> Result<(), HostKeyError> {
    if let Some(hash) = text.strip_prefix("SHA256:") {
        let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
        let whole = hash.len() == 43 && hash.bytes().all(base64);
        return if whole { Ok(()) } else { Err(HostKeyError::Fingerprint(hash.chars().count())) };
    }
    if text.contains("PRIVATE KEY") {
        return Err(HostKeyError::Private);
    }
    let bytes = text.strip_prefix("MD5:").unwrap_or(text);
    if bytes.split(':').count() == 16 && bytes.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
        return Err(HostKeyError::Md5);
    }
    if !["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err(HostKeyError::Neither);
    }
    PublicKey::from_openssh(text).map(|_| ()).map_err(|_| HostKeyError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for good in ["10.0.0.0/8", "203.0.113.7", "203.0.113.7/32", "2001:db8::/32", "2001:db8::1"] {
            assert_eq!(check_network(good), Ok(()), "{good}");
        }
        let table = [
            ("10.0.0.5/8", "it has bits set beyond its prefix: write 10.0.0.0/8"),
            ("2001:db8::1/32", "it has bits set beyond its prefix: write 2001:db8::/32"),
            ("10.0.0.0/33", "the prefix must be a number from 0 to 32"),
            ("10.0.0.0/+8", "the prefix must be a number from 0 to 32"),
            ("10.0.0.0/", "the prefix must be a number from 0 to 32"),
            ("0.0.0.0/0", "it is the whole internet: leave the list empty to say so"),
            ("10.0.0/8", "expected an IP address or CIDR such as 203.0.113.7 or 10.0.0.0/8"),
            ("office", "expected an IP address or CIDR such as 203.0.113.7 or 10.0.0.0/8"),
        ];
        for (bad, message) in table {
            assert_eq!(check_network(bad).unwrap_err().to_string(), message, "{bad}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["10.213.0.2", "2001:db8::1", "droplet.example.com", "droplet.example.com.", "sep_1"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for (bad, remedy) in [
            ("root@10.0.0.1", "ssh.user"),
            ("10.0.0.1:22", "ssh.port"),
            ("ssh://host", "protocol"),
            ("10.0.0.256", "four numbers"),
            ("10.1", "four numbers"),
            ("my droplet", "letters"),
            ("-oProxyCommand=x", "letters"),
            ("a..b", "letters"),
        ] {
            let found = check_address(bad).unwrap_err();
            assert!(found.contains(remedy), "{bad}: {found}");
        }
    }

    #[test]
    fn host_keys() {
        const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        assert_eq!(check_host_key(KEY), Ok(()));
        assert_eq!(check_host_key(&format!("{KEY} root@droplet")), Ok(()));
        assert_eq!(check_host_key("SHA256:uNiVztksCsDhcc0u9e8BrCd2X0Zcw5mCxcD0zTwCCMs"), Ok(()));
        let table = [
            ("SHA256:uNiVztksCsDhcc0u9e8BrCd2X0Zcw5mCxcD0zTwCCM", HostKeyError::Fingerprint(42)),
            ("SHA256:uNiVztksCsDhcc0u9e8BrCd2X0Zcw5mCxcD0zTwCCM=", HostKeyError::Fingerprint(43)),
            ("16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", HostKeyError::Md5),
            ("MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", HostKeyError::Md5),
            ("yes", HostKeyError::Neither),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", HostKeyError::Key),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", HostKeyError::Private),
        ];
        for (bad, error) in table {
            assert_eq!(check_host_key(bad), Err(error), "{bad}");
        }
    }
}
