-- What the trading programs are told to do: accounts, pairs, settings.
--
-- Runs as sep_owner, who owns the database and is no superuser. Rows here are changed by the owner alone;
-- every change leaves its old and new form in a history table and wakes the executor by NOTIFY system_config.

-- Nothing is callable, and no object can be made, unless a grant says so.
alter default privileges revoke execute on functions from public;
revoke create on schema public from public;

create table accounts (
    account    text primary key check (account ~ '^[a-z0-9_-]{1,64}$'),
    broker     text not null check (broker in ('oanda', 'simulator')),
    -- ISO 4217; unknown until the broker has been asked.
    currency   text check (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz not null default now()
);
comment on table accounts is 'Every account that rows may carry. The name is ours; the broker''s number is no part of the database.';

create table trading_pairs (
    pair             text primary key check (pair ~ '^[A-Z]{3}_[A-Z]{3}$'),
    enabled          boolean  not null default false,
    -- Digits after the point of a price; candles count in units of the last of them (ticks).
    digits           smallint not null check (digits between 0 and 8),
    -- The power of ten of one pip: -4, yen pairs -2.
    pip_location     smallint not null check (pip_location between -8 and 0),
    -- Most units of one order; null: no limit of its own.
    max_units        bigint   check (max_units > 0),
    -- No entry while ask - bid is wider than this many ticks; null: no limit of its own.
    max_spread_ticks integer  check (max_spread_ticks > 0),
    version          integer  not null default 1,
    updated_at       timestamptz not null default now(),
    updated_by       text     not null default session_user,
    constraint trading_pairs_pip_within_digits check (-pip_location <= digits)
);
comment on table trading_pairs is 'The pairs that are known, which of them may be traded, and their limits.';

create table trading_pairs_history (
    pair       text        not null,
    version    integer     not null,
    -- The whole row as it became; null: it was deleted.
    content    jsonb,
    changed_at timestamptz not null default now(),
    changed_by text        not null default session_user,
    primary key (pair, version)
);

-- One row a setting and account. A key that the check does not name is refused, so a typing error cannot
-- pass for a setting; a release that knows a new one brings the check along.
create table system_config (
    account    text        not null references accounts,
    key        text        not null,
    value      jsonb       not null,
    version    integer     not null default 1,
    updated_at timestamptz not null default now(),
    updated_by text        not null default session_user,
    primary key (account, key),
    constraint system_config_known_and_valid check (
        case key
            -- true: no new entries.
            when 'halted' then jsonb_typeof(value) = 'boolean'
            -- Signals below it are refused, 0 to 1.
            when 'min_confidence' then
                case when jsonb_typeof(value) = 'number' then value::numeric between 0 and 1 else false end
            else false
        end
    )
);
comment on table system_config is 'Settings of an account. They can halt it and lower its risk, never raise its mode.';

create table system_config_history (
    account    text        not null,
    key        text        not null,
    version    integer     not null,
    -- The value it took; null: the setting was deleted.
    value      jsonb,
    changed_at timestamptz not null default now(),
    changed_by text        not null default session_user,
    primary key (account, key, version)
);

-- Versions count on over a deletion, so that a key's history has no number twice.
create function stamp_version() returns trigger language plpgsql as $$
declare
    last integer;
begin
    if tg_table_name = 'trading_pairs' then
        select max(h.version) into last from trading_pairs_history h where h.pair = new.pair;
    else
        select max(h.version) into last from system_config_history h
        where h.account = new.account and h.key = new.key;
    end if;
    new.version := coalesce(last, 0) + 1;
    new.updated_at := now();
    new.updated_by := session_user;
    return new;
end $$;

create function keep_pair_history() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into trading_pairs_history (pair, version, content) values (old.pair, old.version + 1, null);
    else
        insert into trading_pairs_history (pair, version, content) values (new.pair, new.version, to_jsonb(new));
    end if;
    return null;
end $$;

create function keep_config_history() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into system_config_history (account, key, version, value)
        values (old.account, old.key, old.version + 1, null);
    else
        insert into system_config_history (account, key, version, value)
        values (new.account, new.key, new.version, new.value);
    end if;
    return null;
end $$;

create function notify_settings() returns trigger language plpgsql as $$
begin
    perform pg_notify('system_config', tg_table_name);
    return null;
end $$;

create trigger stamp before insert or update on trading_pairs for each row execute function stamp_version();
create trigger stamp before insert or update on system_config for each row execute function stamp_version();
create trigger history after insert or update or delete on trading_pairs
    for each row execute function keep_pair_history();
create trigger history after insert or update or delete on system_config
    for each row execute function keep_config_history();
create trigger wake after insert or update or delete or truncate on trading_pairs
    for each statement execute function notify_settings();
create trigger wake after insert or update or delete or truncate on system_config
    for each statement execute function notify_settings();

insert into accounts (account, broker) values ('primary', 'oanda');

insert into system_config (account, key, value) values
    ('primary', 'halted', 'false'),
    ('primary', 'min_confidence', '0.65');

-- The pairs that OANDA clients trade most. EUR_USD alone is enabled: to watch it costs nothing in mode
-- observe, and when the mode is raised one day, the only pair that trades is the one with the narrowest
-- spread. The others are enabled by name. Spread limits are about three times a quiet market's spread.
insert into trading_pairs (pair, enabled, digits, pip_location, max_units, max_spread_ticks) values
    ('EUR_USD', true,  5, -4, 100000,  30),
    ('GBP_USD', false, 5, -4, 100000,  40),
    ('USD_JPY', false, 3, -2, 100000,  40),
    ('USD_CHF', false, 5, -4, 100000,  50),
    ('AUD_USD', false, 5, -4, 100000,  40),
    ('USD_CAD', false, 5, -4, 100000,  50),
    ('NZD_USD', false, 5, -4, 100000,  50),
    ('EUR_GBP', false, 5, -4, 100000,  50),
    ('EUR_JPY', false, 3, -2, 100000,  60),
    ('GBP_JPY', false, 3, -2, 100000,  90),
    ('AUD_JPY', false, 3, -2, 100000,  60),
    ('NZD_JPY', false, 3, -2, 100000,  80),
    ('CAD_JPY', false, 3, -2, 100000,  80),
    ('CHF_JPY', false, 3, -2, 100000,  80),
    ('EUR_CHF', false, 5, -4, 100000,  60),
    ('EUR_AUD', false, 5, -4, 100000,  90),
    ('EUR_CAD', false, 5, -4, 100000,  80),
    ('AUD_NZD', false, 5, -4, 100000,  90);
