-- Orders from the intent to the close, and the figures of a day that only the broker knows.

create table trade_executions (
    id                    bigint generated always as identity primary key,
    account               text        not null references accounts,
    strategy              text        not null,
    pair                  text        not null references trading_pairs,
    signal_id             bigint      references trading_signals,
    mode                  text        not null check (mode in ('simulator', 'practice', 'live')),
    -- Sent as clientExtensions.id; holds the installation's id, so that a foreign order can be told.
    client_id             text        not null,
    side                  text        not null check (side in ('buy', 'sell')),
    -- intent: committed, not sent. sent: the one POST went out. unknown: its answer was lost. open: filled.
    state                 text        not null default 'intent' check (state in
                              ('intent', 'sent', 'unknown', 'open', 'closed', 'cancelled', 'rejected', 'expired')),
    -- Why it came to its state: the broker's reason, or ours.
    reason                text,
    -- Without sign: side says the direction.
    requested_units       numeric     not null check (requested_units > 0),
    filled_units          numeric     check (filled_units > 0),
    stop                  numeric     not null check (stop > 0),
    target                numeric     not null check (target > 0),
    price_bound           numeric     check (price_bound > 0),
    entry_price           numeric     check (entry_price > 0),
    exit_price            numeric     check (exit_price > 0),
    -- In the account's currency.
    realized_pl           numeric,
    financing             numeric,
    -- The broker's lastTransactionID before the POST: recovery reads the transactions from here on.
    broker_cursor         bigint,
    broker_order_id       bigint,
    broker_trade_id       bigint,
    broker_fill_id        bigint,
    broker_close_id       bigint,
    intended_at           timestamptz not null default clock_timestamp(),
    opened_at             timestamptz,
    closed_at             timestamptz,
    unique (account, client_id),
    constraint trade_executions_one_intent_a_signal unique (account, signal_id),
    constraint trade_executions_open_is_filled check (
        state not in ('open', 'closed')
        or (filled_units is not null and entry_price is not null and opened_at is not null
            and broker_trade_id is not null)),
    constraint trade_executions_closed_is_booked check (
        state <> 'closed' or (exit_price is not null and realized_pl is not null and closed_at is not null))
);
comment on table trade_executions is 'Orders and trades. Written before anything is sent, resolved by the broker''s transactions.';
create unique index trade_executions_broker_trade on trade_executions (account, broker_trade_id);
create index trade_executions_unfinished on trade_executions (account, id)
    where state in ('intent', 'sent', 'unknown', 'open');
create index trade_executions_closed_day on trade_executions (((closed_at at time zone 'UTC')::date))
    where state = 'closed';
create index signal_decisions_day on signal_decisions (((decided_at at time zone 'UTC')::date));

-- Counts and sums are not kept here: v_daily_performance takes them from the rows themselves.
create table performance_metrics (
    account      text        not null references accounts,
    strategy     text        not null,
    -- UTC.
    day          date        not null,
    -- At the end of the day, in the account's currency.
    balance      numeric,
    nav          numeric,
    -- Largest fall of the NAV from a peak within the day, in the account's currency.
    max_drawdown numeric     check (max_drawdown >= 0),
    updated_at   timestamptz not null default clock_timestamp(),
    primary key (account, strategy, day)
);
