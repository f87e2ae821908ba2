//! systemd units, asked for all at once.

use std::collections::HashMap;

use super::{Command, Machine, MachineError, lock};

const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,\
                          ActiveEnterTimestamp,StateChangeTimestamp,MainPID,ConditionResult,ConditionTimestamp";

/// What systemd says of one unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unit {
    /// `loaded`, `not-found`, `masked`.
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`.
    pub active: String,
    pub sub: String,
    /// `enabled`, `disabled`, `static`, empty.
    pub file: String,
    pub needs_daemon_reload: bool,
    /// When it last became active, microseconds since the epoch.
    pub entered: Option<i64>,
    /// When it last changed its state, a reload included.
    pub changed: Option<i64>,
    pub main_pid: Option<u32>,
    /// It was to be started, but a condition of its own (no such hardware, in a container) passed it over.
    pub condition_failed: bool,
}

impl Machine {
    /// Reads these units in one question, for the calls of [`Machine::unit`] that follow.
    pub fn load_units(&self, names: &[String]) -> Result<(), MachineError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut args =
            vec!["show".to_owned(), "--timestamp=us+utc".into(), format!("--property={PROPERTIES}")];
        args.push("--".into());
        args.extend(names.iter().cloned());
        let output = self.run(&Command::new("systemctl", args))?;
        let mut units = lock(&self.units);
        // The answer has one block for each question, in order; `Id` differs for aliases.
        for (name, block) in names.iter().zip(output.stdout.split("\n\n")) {
            units.insert(name.clone(), parse(block));
        }
        Ok(())
    }

    /// One unit.
    pub fn unit(&self, name: &str) -> Result<Unit, MachineError> {
        if let Some(unit) = lock(&self.units).get(name) {
            return Ok(unit.clone());
        }
        self.load_units(&[name.to_owned()])?;
        Ok(lock(&self.units).get(name).cloned().unwrap_or_default())
    }
}

fn parse(block: &str) -> Unit {
    let fields: HashMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
    let text = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
    Unit {
        load: text("LoadState"),
        active: text("ActiveState"),
        sub: text("SubState"),
        file: text("UnitFileState"),
        needs_daemon_reload: text("NeedDaemonReload") == "yes",
        entered: timestamp_micros(&text("ActiveEnterTimestamp")),
        changed: timestamp_micros(&text("StateChangeTimestamp")),
        main_pid: text("MainPID").parse().ok().filter(|pid| *pid != 0),
        condition_failed: text("ConditionResult") == "no"
            && timestamp_micros(&text("ConditionTimestamp")).is_some(),
    }
}

/// `Fri 2026-11-20 23:56:01.123456 UTC` as microseconds since the epoch; `None` for `n/a` or nothing.
pub fn timestamp_micros(text: &str) -> Option<i64> {
    let mut words = text.split(' ').skip(1);
    let (date, time) = (words.next()?, words.next()?);
    let stamp: jiff::Timestamp = format!("{date}T{time}Z").parse().ok()?;
    Some(stamp.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_systemctl_show_is_read() {
        let unit = parse(
            "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n\
             ActiveEnterTimestamp=Fri 2026-11-20 23:56:01.123456 UTC\nStateChangeTimestamp=\nMainPID=12",
        );
        assert_eq!(unit.entered, Some(1_795_218_961_123_456));
        assert_eq!((unit.changed, unit.main_pid), (None, Some(12)));
        assert_eq!((unit.load.as_str(), unit.file.as_str()), ("loaded", "enabled"));
    }
}
