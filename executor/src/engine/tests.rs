use super::*;
use crate::engine::model::{Outcome, PairSettings, Side, Signal};

fn settings(halted: bool) -> Settings {
    let pair = PairSettings { enabled: true, digits: 5 };
    let pairs = [("EUR_USD".to_owned(), pair)].into_iter().collect();
    Settings { halted, min_confidence: "0.5".parse().unwrap(), pairs }
}

fn batch() -> Batch {
    Batch {
        now: "2026-11-20T10:00:01Z".parse().unwrap(),
        signals: vec![Signal {
            id: 7,
            strategy: "qfh".to_owned(),
            pair: "EUR_USD".to_owned(),
            timeframe: "M1".to_owned(),
            bar_close: "2026-11-20T10:00:00Z".parse().unwrap(),
            side: Side::Buy,
            confidence: "0.7".parse().unwrap(),
            stop: "1.09".parse().unwrap(),
            target: "1.11".parse().unwrap(),
            expires_at: "2026-11-20T10:05:00Z".parse().unwrap(),
            quote: None,
        }],
    }
}

/// A state that went through `events`, all at one moment.
fn after(now: Instant, events: Vec<Event>) -> State {
    let mut state = State::new(now);
    for event in events {
        step(&mut state, event, now);
    }
    state
}

fn up() -> Vec<Event> {
    vec![
        Event::Database(Link::Up),
        Event::Api(Link::Up),
        Event::Intake(Link::Up),
        Event::Settings(Ok(settings(false))),
        Event::Lock(Lock::Held),
    ]
}

fn up_and(event: Event) -> Vec<Event> {
    up().into_iter().chain([event]).collect()
}

#[test]
fn health_follows_from_what_is_there() {
    let now = Instant::now();
    let down = || Link::Down("gone".to_owned());
    for (expected, line, events) in [
        (Health::Ok, "ok", up()),
        (Health::Halted, "halted: ", up_and(Event::Settings(Ok(settings(true))))),
        (Health::Standby, "standby: ", up_and(Event::Lock(Lock::Elsewhere))),
        (Health::Degraded, "degraded: database: gone", up_and(Event::Database(down()))),
        (Health::Degraded, "degraded: intake: gone", up_and(Event::Intake(down()))),
        (Health::Degraded, "degraded: settings: bad", up_and(Event::Settings(Err("bad".to_owned())))),
        // A new connection does not hold the lock of the old one.
        (Health::Standby, "standby: ", up_and(Event::Database(Link::Up))),
        (Health::Degraded, "degraded: database: starting; intake: starting", vec![]),
    ] {
        let state = after(now, events);
        assert_eq!(state.health(now), expected);
        assert!(state.line(now).starts_with(line), "{}", state.line(now));
    }
}

#[test]
fn only_the_holder_of_the_lock_who_knows_the_settings_decides() {
    let now = Instant::now();
    let down = Link::Down("gone".to_owned());
    for (decides, events) in [
        (true, up()),
        (true, up_and(Event::Settings(Ok(settings(true))))),
        (false, up_and(Event::Lock(Lock::Elsewhere))),
        (false, up_and(Event::Settings(Err("bad".to_owned())))),
        (false, up_and(Event::Database(down))),
        (false, vec![]),
    ] {
        let mut state = after(now, events);
        let actions = step(&mut state, Event::Pending(batch()), now);
        let recorded = actions.iter().any(|action| matches!(action, Action::Record(_)));
        assert_eq!(recorded, decides, "{state:?}");
    }
}

#[test]
fn an_empty_batch_records_nothing_and_a_decision_is_logged_once_recorded() {
    let now = Instant::now();
    let mut state = after(now, up());
    let nothing = Batch { signals: Vec::new(), ..batch() };
    assert_eq!(step(&mut state, Event::Pending(nothing), now), []);

    let mut actions = step(&mut state, Event::Pending(batch()), now);
    let Some(Action::Record(decisions)) = actions.pop() else { panic!("{actions:?}") };
    assert_eq!((decisions.len(), decisions[0].signal_id, decisions[0].outcome), (1, 7, Outcome::WouldEnter));
    assert!(actions.is_empty());
    assert_eq!(step(&mut state, Event::Recorded(Vec::new()), now), []);
    let logged = step(&mut state, Event::Recorded(decisions), now);
    let [Action::Log(entry)] = logged.as_slice() else { panic!("{logged:?}") };
    assert!(entry.message.starts_with("signal 7: would buy EUR_USD"), "{}", entry.message);
    assert_eq!(entry.strategy.as_deref(), Some("qfh"));
}

#[test]
fn the_start_is_over_once_everything_was_there_once() {
    let now = Instant::now();
    let mut state = State::new(now);
    assert_eq!(step(&mut state, Event::Database(Link::Up), now), [Action::TryLock]);
    assert_eq!(step(&mut state, Event::Lock(Lock::Elsewhere), now), []);
    assert_eq!(step(&mut state, Event::Intake(Link::Up), now), []);
    assert_eq!(step(&mut state, Event::Settings(Ok(settings(false))), now), []);
    // Waiting for another executor's lock is a start that succeeded.
    let started = step(&mut state, Event::Api(Link::Up), now);
    let [Action::Ready, Action::Log(_), Action::Status(line)] = started.as_slice() else {
        panic!("{started:?}")
    };
    assert!(line.starts_with("standby"), "{line}");
    let again = step(&mut state, Event::Api(Link::Up), now);
    assert_eq!(again, [], "neither ready nor the same status is told twice");
}

#[test]
fn the_lock_is_asked_for_until_it_is_held() {
    let now = Instant::now();
    for (asks, events) in [
        (true, up_and(Event::Lock(Lock::Elsewhere))),
        (false, up()),
        (false, up_and(Event::Database(Link::Down("gone".to_owned())))),
    ] {
        let mut state = after(now, events);
        assert_eq!(step(&mut state, Event::Tick, now).contains(&Action::TryLock), asks);
    }
}

#[test]
fn the_watchdog_starves_when_a_thread_is_silent() {
    let start = Instant::now();
    let later = start + SILENCE + Duration::from_secs(1);
    for (fed, heard) in [
        (true, vec![Event::Intake(Link::Up), Event::Api(Link::Up)]),
        (true, vec![Event::Intake(Link::Down("gone".to_owned())), Event::Api(Link::Up)]),
        (false, vec![Event::Intake(Link::Up)]),
        (false, vec![Event::Api(Link::Up)]),
    ] {
        let mut state = after(start, up());
        for event in heard {
            step(&mut state, event, later);
        }
        let actions = step(&mut state, Event::Tick, later);
        assert_eq!(actions.contains(&Action::Watchdog), fed, "{actions:?}");
        assert_eq!(state.problems(later).iter().any(|p| p.contains("silent for more than 45 s")), !fed);
    }
}

#[test]
fn a_change_of_state_is_told_once() {
    let now = Instant::now();
    let mut state = after(now, up());
    let changed = step(&mut state, Event::Settings(Ok(settings(true))), now);
    let [Action::Log(_), Action::Status(line)] = changed.as_slice() else { panic!("{changed:?}") };
    assert!(line.starts_with("halted"), "{line}");
    assert_eq!(step(&mut state, Event::Settings(Ok(settings(true))), now), []);
    let stop = step(&mut state, Event::Stop("SIGTERM"), now);
    assert!(matches!(stop.as_slice(), [Action::Log(_), Action::Stop]), "{stop:?}");
}
