//! The inventory's way from the disk. The only part of `inventory` that touches files and environment.

use std::io::ErrorKind;
use std::path::Path;

use super::problem::{InventoryError, InventoryErrors, Place, Problem};
use super::{Inventory, Origin, parse};

/// Reads and checks the inventory at `path`. Its relative paths become absolute.
pub fn read(path: &Path) -> Result<Inventory, InventoryErrors> {
    let refuse = |problem| {
        let place = Place { file: path.to_owned(), position: None, path: String::new() };
        InventoryErrors(vec![InventoryError { place, problem }])
    };
    let bytes = std::fs::read(path).map_err(|error| {
        refuse(match error.kind() {
            ErrorKind::NotFound => Problem::NoFile,
            _ => Problem::Unreadable(error),
        })
    })?;
    let text = String::from_utf8(bytes).map_err(|_| refuse(Problem::NotUtf8))?;
    let absolute = std::path::absolute(path).map_err(|error| refuse(Problem::Unreadable(error)))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    parse(&text, &Origin { file: path, folder, home: home.as_deref() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_names_the_way_out() {
        let error = read(Path::new("/nonexistent/inventory.yaml")).unwrap_err();
        insta::assert_snapshot!(error, @"/nonexistent/inventory.yaml: there is no such file: run `sepctl init` to write one, or name another with --inventory FILE");
    }
}
