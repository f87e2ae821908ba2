//! Signals up: one batch, one statement, exactly once.
//!
//! The batch's name is its content: when an answer is lost, sending it again either applies it or finds it applied.

use jiff::Timestamp;
use rust_decimal::Decimal;
use sep_contract::{Digest, QfhMetrics, Signal, SignalBatch};
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};

use super::database::DatabaseError;

const INGEST: &str = "select outcome, inserted, duplicates from \
                      ingest_signals($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
/// SQLSTATE of a signal whose key is stored with other content.
const CONFLICT: &str = "SE001";

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The whole batch had been applied before.
    pub already_applied: bool,
    pub inserted: i32,
    /// Signals that were stored before, with the same content.
    pub duplicates: i32,
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("{message}:\n{}", .keys.join("\n"))]
    Conflict { message: String, keys: Vec<String> },
    #[error("PostgreSQL refused the signals: {message} (SQLSTATE {code})")]
    Refused { message: String, code: String },
    #[error("the connection broke before an answer came: {0}")]
    Unanswered(tokio_postgres::Error),
}

/// Stores a batch, whole or not at all.
pub async fn push(client: &tokio_postgres::Client, batch: &SignalBatch) -> Result<Pushed, PushError> {
    let signals = batch.signals();
    let id = batch.batch_id();
    let texts = |f: fn(&Signal) -> String| signals.iter().map(f).collect::<Vec<String>>();
    let prices = |f: fn(&Signal) -> Decimal| signals.iter().map(f).collect::<Vec<Decimal>>();
    let times = |f: fn(&Signal) -> Timestamp| signals.iter().map(f).collect::<Vec<Timestamp>>();
    let hashes =
        |f: fn(&Signal) -> Digest| signals.iter().map(|s| f(s).as_bytes().to_vec()).collect::<Vec<Vec<u8>>>();
    let id = id.as_bytes().as_slice();
    let accounts = texts(|s| s.account.clone());
    let strategies = texts(|s| s.strategy.clone());
    let pairs = texts(|s| s.pair.to_string());
    let timeframes = texts(|s| s.timeframe.to_string());
    let bar_closes = times(|s| s.bar_close);
    let sides = texts(|s| s.side.to_string());
    let confidences = prices(|s| s.confidence.to_decimal());
    let metrics: Vec<Value> = signals.iter().map(|s| metrics(&s.metrics)).collect();
    let (stops, targets) = (prices(|s| s.stop), prices(|s| s.target));
    let expiries = times(|s| s.expires_at);
    let (models, contents) = (hashes(|s| s.model_hash), hashes(Signal::content_hash));
    let reasons: Vec<Option<String>> = signals.iter().map(|s| s.override_reason.clone()).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 15] = [
        (&id, Type::BYTEA),
        (&accounts, Type::TEXT_ARRAY),
        (&strategies, Type::TEXT_ARRAY),
        (&pairs, Type::TEXT_ARRAY),
        (&timeframes, Type::TEXT_ARRAY),
        (&bar_closes, Type::TIMESTAMPTZ_ARRAY),
        (&sides, Type::TEXT_ARRAY),
        (&confidences, Type::NUMERIC_ARRAY),
        (&metrics, Type::JSONB_ARRAY),
        (&stops, Type::NUMERIC_ARRAY),
        (&targets, Type::NUMERIC_ARRAY),
        (&expiries, Type::TIMESTAMPTZ_ARRAY),
        (&models, Type::BYTEA_ARRAY),
        (&contents, Type::BYTEA_ARRAY),
        (&reasons, Type::TEXT_ARRAY),
    ];
    let rows = client.query_typed(INGEST, &parameters).await.map_err(explain)?;
    let row = rows.first().ok_or_else(|| PushError::Refused {
        message: "ingest_signals gave no answer".into(),
        code: "none".into(),
    })?;
    let outcome: &str = row.try_get(0).map_err(explain)?;
    Ok(Pushed {
        already_applied: outcome == "already_applied",
        inserted: row.try_get(1).map_err(explain)?,
        duplicates: row.try_get(2).map_err(explain)?,
    })
}

fn metrics(metrics: &QfhMetrics) -> Value {
    QfhMetrics::NAMES
        .iter()
        .zip(metrics.values())
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect()
}

fn explain(error: tokio_postgres::Error) -> PushError {
    let Some(db) = error.as_db_error() else { return PushError::Unanswered(error) };
    if db.code().code() == CONFLICT {
        return PushError::Conflict { message: db.message().to_owned(), keys: clashes(db.detail()) };
    }
    PushError::Refused { message: db.message().to_owned(), code: db.code().code().to_owned() }
}

/// One line for each clash of the DETAIL, which is a JSON array of keys.
fn clashes(detail: Option<&str>) -> Vec<String> {
    let parsed: Vec<Value> = detail.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let line = |clash: &Value| {
        let text = |name: &str| clash[name].as_str().unwrap_or("?").to_owned();
        let short = |name: &str| text(name).chars().take(12).collect::<String>();
        format!(
            "  {}/{} {} {} {}: stored with content {}, given with {}",
            text("account"),
            text("strategy"),
            text("pair"),
            text("timeframe"),
            text("bar_close"),
            short("stored"),
            short("given")
        )
    };
    parsed.iter().map(line).collect()
}
