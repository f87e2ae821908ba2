-- What people and reports read. Times are UTC, prices decimal.

create view v_candles as
select c.pair, c.timeframe, c.time,
       ticks_to_price(c.bid_open, p.digits) as bid_open, ticks_to_price(c.bid_high, p.digits) as bid_high,
       ticks_to_price(c.bid_low, p.digits) as bid_low, ticks_to_price(c.bid_close, p.digits) as bid_close,
       ticks_to_price(c.ask_open, p.digits) as ask_open, ticks_to_price(c.ask_high, p.digits) as ask_high,
       ticks_to_price(c.ask_low, p.digits) as ask_low, ticks_to_price(c.ask_close, p.digits) as ask_close,
       c.volume
from market_candles c join trading_pairs p using (pair);

-- sent and unknown stand here too: they may be open at the broker.
create view v_open_trades as
select t.id, t.account, t.strategy, t.pair, t.side, t.state, t.mode,
       coalesce(t.filled_units, t.requested_units) as units, t.entry_price, t.stop, t.target,
       t.intended_at, t.opened_at, t.broker_trade_id, t.client_id, t.signal_id
from trade_executions t
where t.state in ('sent', 'unknown', 'open')
order by t.id;

create view v_recent_signals as
select s.id, s.received_at, s.account, s.strategy, s.pair, s.timeframe, s.bar_close, s.side, s.confidence,
       s.stop, s.target, s.expires_at, encode(s.model_hash, 'hex') as model_hash, s.override_reason,
       d.decision, d.reason_code, d.reason, d.mode, d.decided_at
from trading_signals s
left join signal_decisions d on d.signal_id = s.id and d.account = s.account
where s.received_at > now() - interval '7 days'
order by s.received_at desc, s.id desc;

create view v_active_pairs as
select p.pair, p.digits, p.pip_location, p.max_units, p.max_spread_ticks, p.version, p.updated_at,
       (select c.time from newest_candles(p.pair, 'M1', 1) c) as newest_m1_candle,
       (select max(s.bar_close) from trading_signals s where s.pair = p.pair
        and s.received_at > now() - interval '7 days') as newest_signal
from trading_pairs p
where p.enabled
order by p.pair;

-- Days are UTC: decisions by when they were made, trades by when they were closed.
create view v_daily_performance as
select day, account, strategy,
       sum(signals) as signals, sum(entries) as entries, sum(refusals) as refusals,
       sum(trades) as trades, sum(wins) as wins, sum(losses) as losses,
       sum(gross_profit) as gross_profit, sum(gross_loss) as gross_loss,
       sum(gross_profit) - sum(gross_loss) as net_profit, sum(financing) as financing,
       round(100.0 * sum(wins) / nullif(sum(trades), 0), 2) as win_rate_percent,
       round(sum(gross_profit) / nullif(sum(gross_loss), 0), 4) as profit_factor,
       max(balance) as balance, max(nav) as nav, max(max_drawdown) as max_drawdown
from (
    select (d.decided_at at time zone 'UTC')::date as day, d.account, d.strategy,
           1 as signals, (d.decision <> 'refuse')::int as entries, (d.decision = 'refuse')::int as refusals,
           0 as trades, 0 as wins, 0 as losses, 0::numeric as gross_profit, 0::numeric as gross_loss,
           0::numeric as financing, null::numeric as balance, null::numeric as nav, null::numeric as max_drawdown
    from signal_decisions d
    union all
    select (t.closed_at at time zone 'UTC')::date, t.account, t.strategy, 0, 0, 0,
           1, (t.realized_pl > 0)::int, (t.realized_pl < 0)::int,
           greatest(t.realized_pl, 0), greatest(-t.realized_pl, 0), coalesce(t.financing, 0),
           null as balance, null as nav, null as max_drawdown
    from trade_executions t where t.state = 'closed'
    union all
    select m.day, m.account, m.strategy, 0, 0, 0, 0, 0, 0, 0, 0, 0, m.balance, m.nav, m.max_drawdown
    from performance_metrics m
) figures
group by day, account, strategy
order by day desc, account, strategy;

-- One row a fact: kind and name say of what, `bytes` where it has a size.
create view v_database_info as
select 'database' as kind, current_database()::text as name, pg_database_size(current_database()) as bytes,
       null::bigint as chunks, current_setting('server_version') as detail
union all
select 'extension', e.extname::text, null, null, e.extversion
from pg_extension e where e.extname = 'timescaledb'
union all
select 'setting', 'timescaledb.license', null, null, current_setting('timescaledb.license', true)
union all
select case when h.hypertable_name is null then 'table' else 'hypertable' end, c.relname::text,
       pg_total_relation_size(c.oid)
           + coalesce((select sum(pg_total_relation_size(format('%I.%I', k.chunk_schema, k.chunk_name)::regclass))
                       from timescaledb_information.chunks k
                       where k.hypertable_schema = 'public' and k.hypertable_name = c.relname), 0)::bigint,
       h.num_chunks, null
from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
left join timescaledb_information.hypertables h on h.hypertable_schema = 'public' and h.hypertable_name = c.relname
where c.relkind in ('r', 'p');
