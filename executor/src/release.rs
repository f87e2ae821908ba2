//! Which release this process is: its version, and the directory it was started from.

use std::path::Path;

/// Version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where releases are installed, one directory each, named by its content's hash.
const RELEASES: &str = "/opt/sep/releases";

/// The release's directory name, or `dev` for a binary that was not installed as one.
pub fn current() -> String {
    std::fs::read_link("/proc/self/exe").map_or_else(|_| "dev".to_owned(), |exe| name(&exe))
}

fn name(exe: &Path) -> String {
    exe.strip_prefix(RELEASES)
        .ok()
        .filter(|rest| rest.components().count() > 1)
        .and_then(|rest| rest.components().next())
        .map_or_else(|| "dev".to_owned(), |first| first.as_os_str().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_below_releases_names_the_release() {
        for (exe, expected) in [
            ("/opt/sep/releases/3f9a/sep-executor", "3f9a"),
            ("/opt/sep/releases/3f9a/bin/sep-executor", "3f9a"),
            ("/opt/sep/releases/sep-executor", "dev"),
            ("/opt/sep/current/sep-executor", "dev"),
            ("/home/me/target/debug/sep-executor", "dev"),
        ] {
            assert_eq!(name(Path::new(exe)), expected, "{exe}");
        }
    }
}
