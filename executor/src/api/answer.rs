//! What is answered: `/api/status`, `/api/performance/daily`, and a plain refusal of everything else.

use std::sync::mpsc::{Sender, sync_channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tiny_http::{Header, Method, Request, Response};

use crate::config::{Config, Mode};
use crate::engine::{Health, Link};
use crate::release::VERSION;
use crate::run::{Mail, View};
use crate::store::report::{Report, Signals};

/// The engine answers between two events, none of which takes longer.
const ENGINE_ANSWER: Duration = Duration::from_secs(3);

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Status,
    Daily,
    Unknown,
    OtherMethod,
}

fn wanted(method: &Method, url: &str) -> Wanted {
    if *method != Method::Get {
        return Wanted::OtherMethod;
    }
    match url.split('?').next().unwrap_or(url) {
        "/api/status" => Wanted::Status,
        "/api/performance/daily" => Wanted::Daily,
        _ => Wanted::Unknown,
    }
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    mode: &'static str,
    account: &'a str,
    release: &'a str,
    version: &'static str,
    uptime_seconds: u64,
    time: Timestamp,
    database: DatabaseStatus,
    signals: Option<&'a Signals>,
    pairs: Option<Pairs<'a>>,
    /// What is missing, in words; empty when all is well.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct DatabaseStatus {
    state: &'static str,
    schema_version: Option<i32>,
}

#[derive(Serialize)]
struct Pairs<'a> {
    enabled: &'a [String],
}

#[derive(Serialize)]
struct Refusal {
    error: String,
}

/// Answers requests, one after the other.
pub struct Answers {
    report: Report,
    mode: Mode,
    account: String,
    release: String,
    mail: Sender<Mail>,
    started: Instant,
}

impl Answers {
    /// With a database connection of its own, made at the first question that needs it.
    pub fn new(config: &Config, release: &str, mail: Sender<Mail>, started: Instant) -> Self {
        Self {
            report: Report::new(&config.database, &config.account),
            mode: config.mode,
            account: config.account.clone(),
            release: release.to_owned(),
            mail,
            started,
        }
    }

    /// Answers one request. A caller who has gone away is no error.
    pub fn answer(&mut self, request: Request) {
        let (code, body) = match wanted(request.method(), request.url()) {
            Wanted::Status => self.status(),
            Wanted::Daily => match self.report.daily() {
                Ok(json) => (200, json),
                Err(error) => (503, json(&Refusal { error: format!("database: {error}") })),
            },
            Wanted::Unknown => {
                (404, json(&Refusal { error: format!("no such resource: {}", request.url()) }))
            }
            Wanted::OtherMethod => {
                (405, json(&Refusal { error: format!("{} is not allowed here, only GET", request.method()) }))
            }
        };
        let mut response = Response::from_string(body).with_status_code(code);
        let headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")];
        let allow = (code == 405).then_some(("Allow", "GET"));
        for (name, value) in headers.into_iter().chain(allow) {
            if let Ok(header) = Header::from_bytes(name, value) {
                response.add_header(header);
            }
        }
        let _ = request.respond(response);
    }

    fn status(&mut self) -> (u16, String) {
        let view = self.ask_engine();
        let signals = self.report.signals();
        let mut problems = match &view {
            Some(view) => view.problems.clone(),
            None => vec![format!("engine: no answer within {} s", ENGINE_ANSWER.as_secs())],
        };
        if let Err(error) = &signals {
            problems.push(format!("api: {error}"));
        }
        let health = match &view {
            Some(view) if problems.is_empty() => view.health,
            _ => Health::Degraded,
        };
        let reachable = signals.is_ok() && view.as_ref().is_none_or(|view| view.database == Link::Up);
        let signals = signals.ok();
        let status = Status {
            status: health.as_str(),
            mode: self.mode.as_str(),
            account: &self.account,
            release: &self.release,
            version: VERSION,
            uptime_seconds: self.started.elapsed().as_secs(),
            time: Timestamp::now(),
            database: DatabaseStatus {
                state: if reachable { "ok" } else { "unreachable" },
                schema_version: signals.as_ref().and_then(|signals| signals.schema_version),
            },
            signals: signals.as_ref(),
            pairs: view.as_ref().map(|view| Pairs { enabled: &view.enabled }),
            problems,
        };
        (if health == Health::Degraded { 503 } else { 200 }, json(&status))
    }

    fn ask_engine(&self) -> Option<View> {
        let (answer, view) = sync_channel(1);
        self.mail.send(Mail::Ask(answer)).ok()?;
        view.recv_timeout(ENGINE_ANSWER).ok()
    }
}

/// Plain structs of text and numbers always have a JSON form.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        for (method, url, expected) in [
            (Method::Get, "/api/status", Wanted::Status),
            (Method::Get, "/api/status?verbose=1", Wanted::Status),
            (Method::Get, "/api/performance/daily", Wanted::Daily),
            (Method::Get, "/api/status/", Wanted::Unknown),
            (Method::Get, "/", Wanted::Unknown),
            (Method::Post, "/api/status", Wanted::OtherMethod),
            (Method::Head, "/api/status", Wanted::OtherMethod),
            (Method::Delete, "/", Wanted::OtherMethod),
        ] {
            assert_eq!(wanted(&method, url), expected, "{method} {url}");
        }
    }
}
