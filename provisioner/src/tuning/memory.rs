//! PostgreSQL's units of memory, the memory of a machine as it was bought, and the most that a set of
//! settings may come to use.
//!
//! In PostgreSQL `kB`, `MB` and `GB` are powers of 1024 and their case matters.

use std::collections::BTreeMap;
use std::fmt;

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Settings that hold an amount of memory or disk, with the unit of a bare number in bytes
/// (`pg_settings.unit`).
pub const SIZE_SETTINGS: [(&str, u64); 30] = [
    ("autovacuum_work_mem", KIB),
    ("backend_flush_after", 8 * KIB),
    ("bgwriter_flush_after", 8 * KIB),
    ("checkpoint_flush_after", 8 * KIB),
    ("effective_cache_size", 8 * KIB),
    ("gin_pending_list_limit", KIB),
    ("huge_page_size", KIB),
    ("log_parameter_max_length", 1),
    ("log_parameter_max_length_on_error", 1),
    ("log_rotation_size", KIB),
    ("log_temp_files", KIB),
    ("logical_decoding_work_mem", KIB),
    ("maintenance_work_mem", KIB),
    ("max_slot_wal_keep_size", MIB),
    ("max_stack_depth", KIB),
    ("max_wal_size", MIB),
    ("min_dynamic_shared_memory", MIB),
    ("min_parallel_index_scan_size", 8 * KIB),
    ("min_parallel_table_scan_size", 8 * KIB),
    ("min_wal_size", MIB),
    ("shared_buffers", 8 * KIB),
    ("temp_buffers", 8 * KIB),
    ("temp_file_limit", KIB),
    ("track_activity_query_size", 1),
    ("wal_buffers", 8 * KIB),
    ("wal_decode_buffer_size", 1),
    ("wal_keep_size", MIB),
    ("wal_skip_threshold", KIB),
    ("wal_writer_flush_after", 8 * KIB),
    ("work_mem", KIB),
];

/// Bytes of a size setting's value; `None` where it is not one, or `name` is no size setting. A value of
/// -1 (the setting's own default) reads as 0.
pub fn parse(name: &str, value: &str) -> Option<u64> {
    let bare = SIZE_SETTINGS.iter().find(|(known, _)| *known == name)?.1;
    if value == "-1" {
        return Some(0);
    }
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let unit = match value[digits..].trim_start() {
        "" => bare,
        "B" => 1,
        "kB" => KIB,
        "MB" => MIB,
        "GB" => GIB,
        "TB" => TIB,
        _ => return None,
    };
    value[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

/// Writes bytes as PostgreSQL's `SHOW` does: the largest unit that divides them.
pub fn format(bytes: u64) -> String {
    match [(TIB, "TB"), (GIB, "GB"), (MIB, "MB"), (KIB, "kB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// The memory that was bought, from what the kernel reports, which is some per cent less (firmware, the
/// kernel itself): up to the next eighth of a power of two where that adds at most 8 %, else as it is.
pub fn nominal(reported: u64) -> u64 {
    let step = reported.checked_next_power_of_two().map_or(GIB, |power| (power / 8).max(1));
    let up = reported.div_ceil(step).saturating_mul(step);
    if (up - reported) <= reported / 100 * 8 { up } else { reported / MIB * MIB }
}

/// The most memory that PostgreSQL and what runs beside it may come to use, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryUse {
    pub shared_buffers: u64,
    /// Everyone who may sort or hash at once: connections and parallel workers.
    pub sorters: u64,
    pub work_mem: u64,
    /// `hash_mem_multiplier` in thousandths: a hash may use this many times `work_mem`.
    pub hash_thousandths: u64,
    pub autovacuum: u64,
    /// One index build or restore.
    pub maintenance: u64,
    /// Kernel, page cache, nginx, the executor: an eighth, at least 128 MB, at most 1 GB.
    pub system: u64,
}

impl MemoryUse {
    /// What all sorters together may use.
    pub fn sorting(&self) -> u64 {
        self.sorters.saturating_mul(self.work_mem).saturating_mul(self.hash_thousandths) / 1000
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        [self.shared_buffers, self.sorting(), self.autovacuum, self.maintenance, self.system]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// The sum, written out: `2048MB shared_buffers + ... = 7296MB`.
impl fmt::Display for MemoryUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes.div_ceil(MIB);
        write!(
            f,
            "{}MB shared_buffers + {}MB work_mem ({} connections and workers x {} x hash_mem_multiplier {}) \
             + {}MB autovacuum + {}MB maintenance_work_mem + {}MB for the system = {}MB",
            mb(self.shared_buffers),
            mb(self.sorting()),
            self.sorters,
            format(self.work_mem),
            thousandths(self.hash_thousandths),
            mb(self.autovacuum),
            mb(self.maintenance),
            mb(self.system),
            mb(self.total()),
        )
    }
}

/// Adds up what `settings` (a whole set, from [`super::settings`]) may use on a machine that reports
/// `memory_bytes`. `None` where one of the values is not readable.
pub fn worst_case(memory_bytes: u64, settings: &BTreeMap<String, String>) -> Option<MemoryUse> {
    let bytes = |name: &str| parse(name, settings.get(name)?);
    let count = |name: &str| settings.get(name)?.parse::<u64>().ok();
    let maintenance = bytes("maintenance_work_mem")?;
    let autovacuum = match bytes("autovacuum_work_mem")? {
        0 => maintenance,
        own => own,
    };
    let multiplier = settings.get("hash_mem_multiplier").map_or("2", String::as_str);
    Some(MemoryUse {
        shared_buffers: bytes("shared_buffers")?,
        sorters: count("max_connections")?.saturating_add(count("max_parallel_workers")?),
        work_mem: bytes("work_mem")?,
        hash_thousandths: parse_thousandths(multiplier)?,
        autovacuum: count("autovacuum_max_workers")?.saturating_mul(autovacuum),
        maintenance,
        system: (nominal(memory_bytes) / 8).clamp(128 * MIB, GIB),
    })
}

/// Whether the worst case of `settings` fits the machine; if not, its sum. Settings that cannot be read
/// are taken to fit: whoever reads the inventory has refused them.
pub fn fits(memory_bytes: u64, settings: &BTreeMap<String, String>) -> Result<(), MemoryUse> {
    match worst_case(memory_bytes, settings) {
        Some(worst) if worst.total() > nominal(memory_bytes) => Err(worst),
        _ => Ok(()),
    }
}

/// `1.5` to 1500; decimals beyond the third are dropped.
fn parse_thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction.parse().ok()?)
}

fn thousandths(value: u64) -> String {
    let text = format!("{}.{:03}", value / 1000, value % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_units() {
        let table = [
            ("work_mem", "64MB", Some(64 * MIB)),
            ("work_mem", "64 MB", Some(64 * MIB)),
            ("work_mem", "4096", Some(4 * MIB)),
            ("shared_buffers", "1024", Some(8 * MIB)),
            ("max_wal_size", "4GB", Some(4 * GIB)),
            ("autovacuum_work_mem", "-1", Some(0)),
            ("work_mem", "64mb", None),
            ("work_mem", "64MiB", None),
            ("work_mem", "", None),
            ("work_mem", "99999999999TB", None),
            ("random_page_cost", "1", None),
        ];
        for (name, value, bytes) in table {
            assert_eq!(parse(name, value), bytes, "{name} = {value}");
        }
        for text in ["64MB", "6GB", "1536MB", "8kB", "1TB", "7B", "0B"] {
            assert_eq!(format(parse("work_mem", text).unwrap()), text);
        }
    }

    #[test]
    fn machines_report_less_than_was_bought() {
        // MiB as reported by real machines, and what was bought.
        let table = [
            (957, 1024),
            (1_963, 2_048),
            (3_915, 4_096),
            (7_941, 8_192),
            (5_900, 6_144),
            (15_993, 16_384),
            (31_800, 32_768),
            (64_318, 65_536),
            (8_192, 8_192),
            // Nothing near: taken as it is.
            (9_300, 9_300),
        ];
        for (reported, bought) in table {
            assert_eq!(nominal(reported * MIB), bought * MIB, "{reported} MiB");
        }
        // Decimal gigabytes, as an inventory may say them.
        assert_eq!(nominal(8_000_000_000), 8 * GIB);
        assert_eq!(nominal(0), 0);
        assert_eq!(nominal(u64::MAX) / TIB, u64::MAX / TIB);
    }

    #[test]
    fn the_sum_is_written_out() {
        let settings: BTreeMap<String, String> = [
            ("shared_buffers", "2GB"),
            ("work_mem", "64MB"),
            ("maintenance_work_mem", "512MB"),
            ("autovacuum_work_mem", "-1"),
            ("autovacuum_max_workers", "3"),
            ("max_connections", "100"),
            ("max_parallel_workers", "2"),
            ("hash_mem_multiplier", "1.5"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        insta::assert_snapshot!(worst_case(8 * GIB, &settings).unwrap(), @"2048MB shared_buffers + 9792MB work_mem (102 connections and workers x 64MB x hash_mem_multiplier 1.5) + 1536MB autovacuum + 512MB maintenance_work_mem + 1024MB for the system = 14912MB");
        let mut broken = settings;
        broken.insert("work_mem".into(), "64mb".into());
        assert_eq!(worst_case(8 * GIB, &broken), None);
    }
}
