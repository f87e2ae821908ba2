-- Who may do what. All of it, in one place; a later migration that makes a table grants for it there.
--
-- The roles exist before the first migration: making them takes more than sep_owner has.

grant usage on schema public to sep_executor, sep_sync, sep_readonly;

-- Helpers that views and queries call in the name of their reader.
grant execute on function timeframe_length(text), ticks_to_price(integer, integer),
    newest_candles(text, text, integer) to sep_executor, sep_sync, sep_readonly;

-- sep_readonly sees everything, what comes later included, and changes nothing.
grant select on all tables in schema public to sep_readonly;
alter default privileges in schema public grant select on tables to sep_readonly;

-- sep_executor: reads signals and settings, adds what it saw, decided and did.
grant select on accounts, trading_pairs, system_config, trading_signals, signal_decisions, market_candles,
    candle_days, candle_coverage, system_logs, trade_executions, performance_metrics, v_candles, v_open_trades,
    v_recent_signals, v_active_pairs, v_daily_performance, v_database_info to sep_executor;
grant insert on signal_decisions, system_logs, market_candles to sep_executor;
grant insert, update on candle_coverage, trade_executions, performance_metrics to sep_executor;

-- sep_sync: signals in by ingest_signals() alone; candles and results out.
grant execute on function ingest_signals(bytea, text[], text[], text[], text[], timestamptz[], text[], numeric[],
    jsonb[], numeric[], numeric[], timestamptz[], bytea[], bytea[], text[]) to sep_sync;
grant select on accounts, trading_pairs, trading_signals, signal_decisions, sync_ledger, market_candles,
    candle_days, candle_coverage, trade_executions, performance_metrics, v_candles, v_open_trades,
    v_recent_signals, v_active_pairs, v_daily_performance to sep_sync;

-- refinery makes its history before the first migration runs; it is absent where the files are run by hand.
do $$
begin
    if to_regclass('public.refinery_schema_history') is not null then
        grant select on public.refinery_schema_history to sep_executor, sep_sync, sep_readonly;
    end if;
end $$;
