//! Templates: embedded, or from a `templates/` folder beside the inventory, which takes precedence file by file.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

/// Template texts by their path below `templates/`, which mirrors the path on the droplet.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<String, String>);

/// A template that cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("there is no template {0}")]
    Missing(String),
    #[error("template {path}{}: {source:#}", .source.line().map(|l| format!(":{l}")).unwrap_or_default())]
    Template { path: String, source: minijinja::Error },
}

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../templates/", $path)))),*]
    };
}

const EMBEDDED: &[(&str, &str)] = embedded![
    "etc/apt/apt.conf.d/52sep-unattended.j2",
    "etc/cron.d/sep-backup.j2",
    "etc/nginx/conf.d/sep.conf.j2",
    "etc/postgresql-common/createcluster.d/sep.conf.j2",
    "etc/postgresql/pg_hba.conf.j2",
    "etc/postgresql/pg_ident.conf.j2",
    "etc/sep/executor.yaml.j2",
    "etc/sep/firewall.nft.j2",
    "etc/ssh/sshd_config.d/10-sep.conf.j2",
    "etc/systemd/journald.conf.d/sep.conf.j2",
    "etc/systemd/system/postgresql@.service.d/sep.conf.j2",
    "etc/systemd/system/sep-backup.service.j2",
    "etc/systemd/system/sep-executor.service.j2",
    "etc/systemd/system/sep-firewall.service.j2",
    "etc/systemd/system/sep-retention.service.j2",
    "etc/systemd/system/sep-retention.timer.j2",
];

impl Templates {
    /// The embedded texts, each replaced by the one of the same path in `own`, if there is one.
    pub fn with(own: &BTreeMap<String, String>) -> Self {
        let text = |path: &str, embedded: &str| own.get(path).cloned().unwrap_or_else(|| embedded.to_owned());
        Self(EMBEDDED.iter().map(|(path, embedded)| ((*path).to_owned(), text(path, embedded))).collect())
    }

    /// Paths below `templates/` that a user's own folder may replace.
    pub fn paths() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(path, _)| *path)
    }

    /// Renders `templates/PATH.j2`. A variable that is not given is an error.
    pub fn render(&self, path: &str, values: &Value) -> Result<String, RenderError> {
        let name = format!("{path}.j2");
        let text = self.0.get(&name).ok_or_else(|| RenderError::Missing(name.clone()))?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let rendered = environment
            .render_named_str(&name, text, minijinja::Value::from(minijinja::value::Serde(values)))
            .map_err(|source| RenderError::Template { path: name.clone(), source })?;
        // The engine drops the last newline of a template.
        Ok(format!("{}\n", rendered.trim_end_matches('\n')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_template_replaces_the_embedded_one_and_a_mistake_in_it_is_named() {
        let path = "etc/cron.d/sep-backup";
        let own = [(format!("{path}.j2"), "a\n{{ nothing }}\n".to_owned())].into();
        let error = Templates::with(&own).render(path, &serde_json::json!({})).unwrap_err();
        assert!(error.to_string().starts_with("template etc/cron.d/sep-backup.j2:2: "), "{error}");
    }

    #[test]
    fn every_template_is_embedded() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().display().to_string();
                    assert!(Templates::paths().any(|p| p == name), "{name} is not in EMBEDDED");
                }
            }
        }
    }
}
