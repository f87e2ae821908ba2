//! The file as it is written: every key optional, `defaults` beneath each host.
//!
//! The shape is all that is checked here; what the values mean is read in `resolve`, so that all that is
//! wrong with them can be told at once.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::secret::SecretRef;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with the keys `defaults` and `hosts`")]
pub(super) struct File {
    pub defaults: Option<Host>,
    pub hosts: Option<BTreeMap<String, Option<Host>>>,
}

/// Something that a host says over what `defaults` says.
pub(super) trait Layer {
    fn over(self, base: Self) -> Self;
}

impl<T: Layer> Layer for Option<T> {
    fn over(self, base: Self) -> Self {
        match (self, base) {
            (Some(own), Some(base)) => Some(own.over(base)),
            (own, base) => own.or(base),
        }
    }
}

/// Key by key.
impl<T> Layer for BTreeMap<String, T> {
    fn over(self, mut base: Self) -> Self {
        base.extend(self);
        base
    }
}

/// Values that replace as a whole.
macro_rules! whole {
    ($($kind:ty),*) => { $(impl Layer for $kind {
        fn over(self, _base: Self) -> Self { self }
    })* };
}
whole!(bool, u16, u32, Text, Vec<u16>, Vec<Text>, Secret);

/// A mapping whose keys may all be left out, merged field by field.
macro_rules! mapping {
    ($($name:ident { $($field:ident: $kind:ty,)* })*) => { $(
        #[derive(Debug, Default, Clone, Deserialize)]
        #[serde(deny_unknown_fields, expecting = "a mapping of keys and values")]
        pub(super) struct $name { $(pub $field: Option<$kind>,)* }

        impl Layer for $name {
            fn over(self, base: Self) -> Self {
                Self { $($field: self.$field.over(base.$field),)* }
            }
        }
    )* };
}

mapping! {
    Host {
        ssh: Ssh,
        hardware: Hardware,
        volume: Volume,
        postgres: Postgres,
        firewall: Firewall,
        nginx: Nginx,
        backup: Backup,
        retention: Retention,
        budgets: Budgets,
        executor: Executor,
    }
    Ssh {
        address: Text,
        port: u16,
        user: Text,
        host_key: Text,
        identity: Text,
        known_hosts: Text,
    }
    Hardware {
        memory: Text,
        cores: u32,
    }
    Volume {
        device: Text,
        mount: Text,
        filesystem: Text,
        options: Text,
        size: Text,
    }
    Postgres {
        version: u16,
        port: u16,
        max_connections: u32,
        settings: BTreeMap<String, Text>,
    }
    Firewall {
        open: Vec<u16>,
        ssh_from: Vec<Text>,
        ssh_rate: u32,
    }
    Nginx {
        http_port: u16,
        https_port: u16,
        extra_port: u16,
        tls: Tls,
    }
    Tls {
        certificate: Text,
        key: Secret,
    }
    Backup {
        schedule: Text,
        keep: u32,
    }
    Retention {
        market_candles: Text,
        system_logs: Text,
    }
    Budgets {
        database: Text,
        backups: Text,
        cache: Text,
        reserve: Text,
        logs: Text,
    }
    Executor {
        enabled: bool,
        account: Text,
        mode: Text,
        binary: Text,
        credentials: BTreeMap<String, Secret>,
    }
}

/// Any scalar, as text: `64MB`, `17`, `1.1`, `true` (which PostgreSQL calls `on`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyScalar;
        impl Visitor<'_> for AnyScalar {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }
            fn visit_str<E>(self, value: &str) -> Result<Text, E> {
                Ok(Text(value.to_owned()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
                Ok(Text(if value { "on" } else { "off" }.to_owned()))
            }
        }
        deserializer.deserialize_any(AnyScalar)
    }
}

/// A reference to a secret, or the mistake of writing the secret itself, which is dropped unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Secret {
    Reference(SecretRef),
    Inline,
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReferenceOrInline;
        impl<'de> Visitor<'de> for ReferenceOrInline {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one of {env: NAME}, {file: PATH}, {command: [PROGRAM, ARGUMENT, ...]}")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                SecretRef::deserialize(de::value::MapAccessDeserializer::new(map)).map(Secret::Reference)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Secret, A::Error> {
                while list.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Secret::Inline)
            }
            fn visit_str<E>(self, _: &str) -> Result<Secret, E> {
                Ok(Secret::Inline)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Secret, E> {
                Ok(Secret::Inline)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Secret, E> {
                Ok(Secret::Inline)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Secret, E> {
                Ok(Secret::Inline)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Secret, E> {
                Ok(Secret::Inline)
            }
            fn visit_unit<E>(self) -> Result<Secret, E> {
                Ok(Secret::Inline)
            }
        }
        deserializer.deserialize_any(ReferenceOrInline)
    }
}
