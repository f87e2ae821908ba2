-- Signals as they come from the workstation, the ledger of what was applied, and the executor's decisions.

create table sync_ledger (
    -- SHA-256 of the batch's content: the same file again is the same batch.
    batch_id   bytea primary key check (octet_length(batch_id) = 32),
    kind       text        not null check (kind in ('signals')),
    rows       integer     not null check (rows >= 0),
    inserted   integer     not null check (inserted between 0 and rows),
    duplicates integer     not null check (duplicates = rows - inserted),
    applied_at timestamptz not null default now()
);

-- A plain table: a hypertable's unique key would have to hold the time of arrival.
create table trading_signals (
    id              bigint generated always as identity primary key,
    account         text        not null references accounts,
    strategy        text        not null check (strategy ~ '^[a-z0-9_-]{1,64}$'),
    pair            text        not null check (pair ~ '^[A-Z]{3}_[A-Z]{3}$'),
    timeframe       text        not null check (timeframe in ('M1', 'M5', 'M15', 'H1', 'H4', 'D1')),
    -- Close of the bar that it was made from: nothing later was known to it.
    bar_close       timestamptz not null,
    side            text        not null check (side in ('buy', 'sell')),
    confidence      numeric(7, 6) not null check (confidence between 0 and 1),
    -- entropy, coherence, stability, null_ratio, flip_ratio, rupture_ratio, buy_score, sell_score
    metrics         jsonb       not null check (jsonb_typeof(metrics) = 'object'),
    stop            numeric     not null check (stop > 0),
    target          numeric     not null check (target > 0),
    expires_at      timestamptz not null,
    -- SHA-256 of the model file, and of all that the signal says.
    model_hash      bytea       not null check (octet_length(model_hash) = 32),
    content_hash    bytea       not null check (octet_length(content_hash) = 32),
    -- Why a model that failed its gate was promoted all the same.
    override_reason text        check (octet_length(override_reason) between 1 and 500),
    received_at     timestamptz not null default clock_timestamp(),
    -- Set by the decision's own trigger; null: pending.
    decided_at      timestamptz,
    constraint trading_signals_key unique (account, strategy, pair, timeframe, bar_close),
    constraint trading_signals_expires_after_close check (expires_at > bar_close)
);
comment on table trading_signals is 'Signals as received. They are never changed, apart from the mark that they were decided.';
create index trading_signals_pending on trading_signals (account, id) where decided_at is null;
create index trading_signals_received on trading_signals (received_at desc);

create function notify_signals() returns trigger language plpgsql as $$
declare
    arrived bigint;
begin
    select count(*) into arrived from new_rows;
    if arrived > 0 then
        perform pg_notify('trading_signals', arrived::text);
    end if;
    return null;
end $$;
create trigger wake after insert on trading_signals referencing new table as new_rows
    for each statement execute function notify_signals();

create table signal_decisions (
    signal_id   bigint      not null references trading_signals,
    account     text        not null references accounts,
    strategy    text        not null,
    decision    text        not null check (decision in ('would_enter', 'enter', 'refuse')),
    -- For programs; `reason` says the same to people.
    reason_code text        not null check (reason_code ~ '^[a-z0-9_]{1,64}$'),
    reason      text        not null,
    mode        text        not null check (mode in ('observe', 'simulator', 'practice', 'live')),
    -- The release that decided: its directory under /opt/sep/releases, or dev.
    release     text        not null,
    decided_at  timestamptz not null default clock_timestamp(),
    primary key (signal_id, account),
    constraint signal_decisions_observe_sends_nothing check (mode <> 'observe' or decision <> 'enter')
);
comment on table signal_decisions is 'What the executor made of each signal, and why. One row a signal and account, for good.';
create index signal_decisions_recent on signal_decisions (account, decided_at desc);

create function mark_decided() returns trigger
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    update trading_signals s set decided_at = n.decided_at
    from new_rows n where s.id = n.signal_id and s.account = n.account and s.decided_at is null;
    return null;
end $$;
create trigger mark after insert on signal_decisions referencing new table as new_rows
    for each statement execute function mark_decided();

-- The one way in for signals: a batch, whole or not at all, in one statement and one round trip.
--
-- The same batch again changes nothing and answers already_applied. The same key with the same content is a
-- duplicate and counted. The same key with other content fails the batch with SQLSTATE SE001 and the keys as
-- a JSON array in DETAIL; an account that does not exist, with SE002.
-- Arrays have one element a signal; `batch` is the SHA-256 that names the batch.
create function ingest_signals(
    batch bytea, accounts text[], strategies text[], pairs text[], timeframes text[], bar_closes timestamptz[],
    sides text[], confidences numeric[], metrics jsonb[], stops numeric[], targets numeric[],
    expiries timestamptz[], model_hashes bytea[], content_hashes bytea[], override_reasons text[]
) returns table (outcome text, inserted integer, duplicates integer)
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
    total   integer := cardinality(accounts);
    unknown text;
    clashes jsonb;
begin
    -- One batch at a time: what is looked up below cannot change before the end of the transaction.
    perform pg_advisory_xact_lock(hashtext('sep.ingest_signals'));

    select l.inserted, l.duplicates into inserted, duplicates from sync_ledger l where l.batch_id = batch;
    if found then
        outcome := 'already_applied';
        return next;
        return;
    end if;

    select string_agg(distinct g.a, ', ') into unknown
    from unnest(accounts) g(a) where not exists (select from public.accounts k where k.account = g.a);
    if unknown is not null then
        raise exception 'signals for unknown account: %', unknown
            using errcode = 'SE002', hint = 'An account is made known by a row in the table accounts.';
    end if;

    -- unnest() would fill up a shorter array with nulls, and a reason may be null.
    if cardinality(override_reasons) is distinct from total then
        raise exception 'expected % override reasons, one a signal (null: none), found %',
            total, cardinality(override_reasons) using errcode = '22023';
    end if;

    insert into trading_signals as s (account, strategy, pair, timeframe, bar_close, side, confidence, metrics,
                                      stop, target, expires_at, model_hash, content_hash, override_reason)
    select * from unnest(accounts, strategies, pairs, timeframes, bar_closes, sides, confidences, metrics,
                         stops, targets, expiries, model_hashes, content_hashes, override_reasons)
    on conflict on constraint trading_signals_key do nothing;
    get diagnostics inserted = row_count;

    if inserted < total then
        select jsonb_agg(jsonb_build_object(
                   'account', g.account, 'strategy', g.strategy, 'pair', g.pair, 'timeframe', g.timeframe,
                   'bar_close', g.bar_close, 'stored', encode(s.content_hash, 'hex'),
                   'given', encode(g.content_hash, 'hex')))
        into clashes
        from unnest(accounts, strategies, pairs, timeframes, bar_closes, content_hashes)
             g(account, strategy, pair, timeframe, bar_close, content_hash)
        join trading_signals s using (account, strategy, pair, timeframe, bar_close)
        where s.content_hash <> g.content_hash;
        if clashes is not null then
            raise exception '% of % signals have the key of a stored signal and other content',
                jsonb_array_length(clashes), total
                using errcode = 'SE001', detail = clashes::text,
                      hint = 'A signal is never changed. Nothing of this batch was stored.';
        end if;
    end if;

    duplicates := total - inserted;
    insert into sync_ledger (batch_id, kind, rows, inserted, duplicates)
    values (batch, 'signals', total, inserted, duplicates);
    outcome := 'applied';
    return next;
end $$;
