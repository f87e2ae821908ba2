//! A resolved host written back as an inventory: what `sepctl inventory show` prints.
//!
//! What is printed reads back as the same host; secrets are the references that they are in the file.

use serde_yaml::{Mapping, Value};

use super::model::Host;
use super::units::{format_days, format_size};

/// Keys that hold bytes.
const SIZES: [(&str, &str); 7] = [
    ("hardware", "memory"),
    ("volume", "size"),
    ("budgets", "database"),
    ("budgets", "backups"),
    ("budgets", "cache"),
    ("budgets", "reserve"),
    ("budgets", "logs"),
];

/// Keys that hold days.
const DAYS: [(&str, &str); 2] = [("retention", "market_candles"), ("retention", "system_logs")];

/// `host` as the YAML of an inventory that holds it alone, with every key that has a value.
pub fn to_yaml(host: &Host) -> Result<String, serde_yaml::Error> {
    let mut value = serde_yaml::to_value(host)?;
    if let Some(keys) = value.as_mapping_mut() {
        // Not `remove`, which moves the last key into the gap.
        keys.retain(|key, _| key != "name");
    }
    for (section, key) in SIZES {
        rewrite(&mut value, section, key, format_size);
    }
    for (section, key) in DAYS {
        rewrite(&mut value, section, key, |days| format_days(u32::try_from(days).unwrap_or(0)));
    }
    without_nulls(&mut value);
    let hosts = Mapping::from_iter([(Value::from(host.name.as_str()), value)]);
    serde_yaml::to_string(&Mapping::from_iter([(Value::from("hosts"), Value::from(hosts))]))
}

fn rewrite(value: &mut Value, section: &str, key: &str, write: impl Fn(u64) -> String) {
    if let Some(found) = value.get_mut(section).and_then(|section| section.get_mut(key))
        && let Some(number) = found.as_u64()
    {
        *found = Value::from(write(number));
    }
}

/// Drops keys without a value, and mappings that held nothing else.
fn without_nulls(value: &mut Value) {
    let Some(keys) = value.as_mapping_mut() else { return };
    for (_, value) in keys.iter_mut() {
        let was_empty = value.as_mapping().is_some_and(Mapping::is_empty);
        without_nulls(value);
        if !was_empty && value.as_mapping().is_some_and(Mapping::is_empty) {
            *value = Value::Null;
        }
    }
    keys.retain(|_, value| !value.is_null());
}
