-- Candles, what of them was asked for, and the log.
--
-- Hypertables carry no foreign keys: a dump in progress would make a waiting drop_chunks stall the
-- referenced table's readers.

create table market_candles (
    pair      text        not null check (pair ~ '^[A-Z]{3}_[A-Z]{3}$'),
    timeframe text        not null check (timeframe in ('M1', 'M5', 'M15', 'H1', 'H4', 'D1')),
    -- When the candle opened.
    time      timestamptz not null,
    -- Ticks: units of the last digit of the pair's price (trading_pairs.digits).
    bid_open  integer     not null,
    bid_high  integer     not null,
    bid_low   integer     not null,
    bid_close integer     not null,
    ask_open  integer     not null,
    ask_high  integer     not null,
    ask_low   integer     not null,
    ask_close integer     not null,
    -- Number of price changes within the candle.
    volume    integer     not null check (volume >= 0),
    primary key (pair, timeframe, time),
    constraint market_candles_bid_in_order check (
        bid_low > 0 and bid_low <= least(bid_open, bid_close) and bid_high >= greatest(bid_open, bid_close)),
    constraint market_candles_ask_in_order check (
        ask_low > 0 and ask_low <= least(ask_open, ask_close) and ask_high >= greatest(ask_open, ask_close))
);
select create_hypertable('market_candles', 'time', chunk_time_interval => interval '1 day',
                         create_default_indexes => false);
comment on table market_candles is 'Complete candles only, bid and ask, in ticks; v_candles shows prices.';

-- How many candles of a series arrived on each day (UTC), kept by a trigger. newest_candles() learns from it
-- which few chunks to look at: planning over a year of daily chunks costs 30 ms. A count may be too high after
-- rows were deleted by hand; a day that holds candles is never missing.
create table candle_days (
    pair      text    not null,
    timeframe text    not null,
    day       date    not null,
    candles   integer not null check (candles > 0),
    primary key (pair, timeframe, day)
);

create function count_candle_days() returns trigger
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    insert into candle_days as d (pair, timeframe, day, candles)
    select n.pair, n.timeframe, (n.time at time zone 'UTC')::date, count(*) from new_rows n group by 1, 2, 3
    -- One order of locking for all writers: none waits for another in a circle.
    order by 1, 2, 3
    on conflict (pair, timeframe, day) do update set candles = d.candles + excluded.candles;
    return null;
end $$;
create trigger days after insert on market_candles referencing new table as new_rows
    for each statement execute function count_candle_days();

-- Which spans were asked of the broker. Real M1 has holes (no trade in a minute, weekends): only this tells a
-- hole that is there from one that was never looked into. Neighbours and overlaps merge by themselves:
--   insert into candle_coverage as c values ($1, $2, tstzmultirange(tstzrange($3, $4)))
--   on conflict (pair, timeframe) do update set covered = c.covered + excluded.covered
create table candle_coverage (
    pair      text           not null check (pair ~ '^[A-Z]{3}_[A-Z]{3}$'),
    timeframe text           not null check (timeframe in ('M1', 'M5', 'M15', 'H1', 'H4', 'D1')),
    -- Half-open spans of candle opening times.
    covered   tstzmultirange not null,
    primary key (pair, timeframe)
);

create table system_logs (
    time      timestamptz not null default clock_timestamp(),
    level     text        not null check (level in ('error', 'warn', 'info', 'debug')),
    -- Which program, and which part of it: executor/engine.
    component text        not null,
    account   text,
    strategy  text,
    message   text        not null,
    fields    jsonb
);
select create_hypertable('system_logs', 'time', chunk_time_interval => interval '1 week');
comment on table system_logs is 'What the programs did, for people; nothing is decided by it.';

create function timeframe_length(timeframe text) returns interval
    language sql immutable strict parallel safe as $$
    select case timeframe
        when 'M1' then interval '1 minute'
        when 'M5' then interval '5 minutes'
        when 'M15' then interval '15 minutes'
        when 'H1' then interval '1 hour'
        when 'H4' then interval '4 hours'
        when 'D1' then interval '1 day'
    end
$$;

create function ticks_to_price(ticks integer, digits integer) returns numeric
    language sql immutable strict parallel safe as $$
    select round(ticks * power(10::numeric, -digits), digits)
$$;

-- The newest `n` candles of a series, newest first; fewer only where no more exist.
--
-- Walks back over the days that hold candles, takes as many as are needed, and reads them in one go unless
-- days are missing between them (a weekend is read across, a longer hole is not). Bounds go in as values of a
-- statement planned on the spot, so that the planner leaves out all other chunks; a cached plan would keep
-- every chunk there is.
create function newest_candles(pair text, timeframe text, n integer) returns setof market_candles
    language plpgsql stable strict parallel safe rows 500 set search_path = pg_catalog, public, pg_temp
    -- TimescaleDB leaves chunks out by itself; PostgreSQL weighing each chunk's checks again costs a tenth of the whole.
    set constraint_exclusion = off as $$
declare
    wanted integer := n;
    got    integer;
    known  integer := 0;
    -- The days gathered and not read yet.
    first  date;
    last   date;
    step   record;
    -- Without the upper bound for the newest days: planning it costs a tenth of the whole.
    read   text := 'select * from market_candles c where c.pair = $1 and c.timeframe = $2 and c.time >= $3
        order by c.time desc limit $5';
begin
    if n <= 0 then
        return;
    end if;
    for step in select d.day, d.candles from candle_days d
                where d.pair = $1 and d.timeframe = $2 order by d.day desc
    loop
        if known >= wanted or first - step.day > 3 then
            return query execute read using $1, $2, first::timestamp at time zone 'UTC',
                (last + 1)::timestamp at time zone 'UTC', wanted;
            get diagnostics got = row_count;
            wanted := wanted - got;
            if wanted <= 0 then
                return;
            end if;
            known := 0;
            last := null;
            read := 'select * from market_candles c where c.pair = $1 and c.timeframe = $2 and c.time >= $3
                and c.time < $4 order by c.time desc limit $5';
        end if;
        first := step.day;
        last := coalesce(last, step.day);
        known := known + step.candles;
    end loop;
    if first is not null then
        return query execute read using $1, $2, first::timestamp at time zone 'UTC',
            (last + 1)::timestamp at time zone 'UTC', wanted;
    end if;
end $$;

-- Drops whole chunks older than the given number of days; 0 keeps them for ever. Works in both editions of
-- TimescaleDB. A dump in progress holds locks that this waits for five seconds at most, and then fails: the
-- next run of the timer does the work.
create function apply_retention(candles_days integer, logs_days integer)
    returns table (hypertable text, dropped_chunks integer)
    language plpgsql set search_path = pg_catalog, public, pg_temp set lock_timeout = '5s' as $$
declare
    cutoff timestamptz;
begin
    if candles_days is null or candles_days < 0 or logs_days is null or logs_days < 0 then
        raise exception 'retention of % days for candles and % for logs: expected 0 (for ever) or more',
            candles_days, logs_days using errcode = '22023';
    end if;
    if candles_days > 0 then
        cutoff := now() - make_interval(days => candles_days);
        hypertable := 'market_candles';
        select count(*) into dropped_chunks from public.drop_chunks('public.market_candles', older_than => cutoff);
        delete from candle_days d where d.day < coalesce(
            (select min(k.range_start at time zone 'UTC')::date from timescaledb_information.chunks k
             where k.hypertable_schema = 'public' and k.hypertable_name = 'market_candles'), 'infinity');
        -- What was dropped is not there to be relied on any more.
        update candle_coverage set covered = covered - tstzmultirange(tstzrange(null, cutoff))
        where covered && tstzrange(null, cutoff);
        return next;
    end if;
    if logs_days > 0 then
        hypertable := 'system_logs';
        select count(*) into dropped_chunks
        from public.drop_chunks('public.system_logs', older_than => now() - make_interval(days => logs_days));
        return next;
    end if;
end $$;
