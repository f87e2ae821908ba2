//! The templates and migrations are embedded: a new file must cause a new build.
fn main() {
    println!("cargo::rerun-if-changed=../migrations");
    println!("cargo::rerun-if-changed=../templates");
}
