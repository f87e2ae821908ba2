#!/usr/bin/env bash
# Measures the three queries that must come back in under 1 ms at the 99th percentile, planning included:
# the newest 500 candles of a series out of ten pairs and a year of M1, the pending signals, the open trades.
#
#   bench/queries.sh CONNINFO [SECONDS]
#   bench/queries.sh 'host=/var/run/postgresql dbname=sep_bench' 15
#
# The database must carry the migrations and be empty of candles, signals and trades: it is filled here (about
# 4 million rows, 900 MB) as sep_owner. Each query is then asked as the programs ask it (the client library of the
# executor and of sepctl, rows in binary form), as the role that asks it in real life, one after the other over one
# connection, parsed and planned anew each time, so that a figure holds planning, execution and the way through the
# socket. QUERY_LATENCY names the program that asks (executor/examples/query_latency.rs). Prints a table; exits 1 when a
# goal is missed.
#
# Wants a machine that does nothing else: on two busy cores the 99th percentile is that of waiting for a core.
set -euo pipefail

conninfo=${1:?usage: bench/queries.sh CONNINFO [SECONDS]}
seconds=${2:-15}
goal_us=1000
latency=${QUERY_LATENCY:?names the program query_latency: cargo build --release -p sep-executor --example query_latency}

as() { # ROLE, psql arguments...
    local role=$1
    shift
    psql "$conninfo user=$role" -qXAt -v ON_ERROR_STOP=1 "$@"
}

found=$(as sep_owner -c "select (select count(*) from candle_days)
    + (select count(*) from trading_signals) + (select count(*) from trade_executions)")
if [ "$found" != 0 ]; then
    echo "bench/queries.sh: the database holds candles, signals or trades already; expected an empty one made for this" >&2
    exit 2
fi

echo "loading ten pairs x one year of M1 and what lies around it ..." >&2
started=$SECONDS
# Trading hours: from Sunday 22:00 to Friday 22:00 UTC, and one minute in fifty without a trade. The year ends
# on the last Wednesday noon, so that the full series look the same whenever this runs.
for number in 1 2 3 4 5 6 7 8 9 10; do
    as sep_owner -v n="$number" <<'SQL'
insert into market_candles
select p.pair, 'M1', t, k, k + 9, k - 8, k + 3, k + 12, k + 22, k + 4, k + 15, (i % 150)::int
from (select pair, row_number() over (order by pair) as rank from trading_pairs) p,
     (select date_trunc('week', now()) - interval '4 days 12 hours' as at) e,
     generate_series(0, 366 * 1440) i,
     lateral (select e.at - make_interval(mins => i) as t, 110000 + (3000 * sin(i / 7000.0))::int + i % 40 as k) x
where p.rank = :n and t > e.at - interval '1 year' and i % 50 <> 7
  and (extract(isodow from t), t::time) not between (5, time '22:00') and (7, time '21:59');
SQL
done
# Three further series for which the first window is not enough: one that ends an hour after a weekend, one
# with a hole of 40 days within the newest 500 candles, one with no more than 120 candles at all.
as sep_owner <<'SQL'
insert into market_candles
select s.pair, 'M1', t, 90000, 90009, 89992, 90003, 90012, 90022, 90004, 90015, 1
from (select date_trunc('week', now()) - interval '7 days' as monday) m,
     (values ('USD_CAD', -120, -60), ('USD_CAD', -10000, -3000), ('USD_CHF', -100, 0), ('USD_CHF', -60000, -57700),
             ('USD_JPY', -120, 0)) s(pair, first, last),
     generate_series(s.first, s.last) i, lateral (select m.monday + make_interval(mins => i) as t) x
where s.pair in (select pair from trading_pairs order by pair offset 10);

-- 300,000 signals of a year, all decided but the newest 20; 50,000 closed trades and 10 open ones.
insert into trading_signals (account, strategy, pair, timeframe, bar_close, side, confidence, metrics, stop, target,
                             expires_at, model_hash, content_hash, received_at)
select 'primary', 'qfh', 'EUR_USD', 'M1', t, 'buy', 0.7, '{"entropy": 0.5}', 1.0, 1.2, t + interval '5 minutes',
       sha256('model'), sha256(i::text::bytea), t
from generate_series(1, 300000) i, lateral (select date_trunc('minute', now()) - make_interval(mins => i) as t) x
order by i desc;
insert into signal_decisions (signal_id, account, strategy, decision, reason_code, reason, mode, release, decided_at)
select id, account, strategy, 'would_enter', 'would_enter', 'benchmark', 'observe', 'dev', received_at
from trading_signals order by bar_close limit 299980;
insert into trade_executions (account, strategy, pair, signal_id, mode, client_id, side, state, requested_units,
                              filled_units, stop, target, entry_price, exit_price, realized_pl, broker_trade_id,
                              opened_at, closed_at)
select account, strategy, pair, id, 'practice', 'bench-' || id, side,
       case when n <= 10 then 'open' else 'closed' end, 1000, 1000, stop, target, 1.1,
       case when n > 10 then 1.11 end, case when n > 10 then 1 end, id, received_at,
       case when n > 10 then received_at end
from (select *, row_number() over (order by id desc) as n from trading_signals) s where n <= 50010;
vacuum (analyze) market_candles, trading_signals, signal_decisions, trade_executions;
SQL
echo "loaded in $((SECONDS - started)) s; $seconds s for each query" >&2

failed=0
measure() { # NAME ROLE ROWS-EXPECTED SQL...: asked in turn
    local name=$1 role=$2 expected=$3 figures runs p50 p99 max verdict=ok
    shift 3
    figures=$(printf '%s\n' "$@" | "$latency" "$conninfo user=$role" "$seconds" "$expected")
    read -r runs p50 p99 max <<<"$figures"
    if [ "$p99" -ge "$goal_us" ]; then
        verdict=MISSED failed=1
    fi
    printf '%-40s %-13s %8d %7d %7d %7d  %s\n' "$name" "$role" "$runs" "$p50" "$p99" "$max" "$verdict"
}

# Without pair and timeframe, which whoever asks knows already.
newest() {
    echo "select time, bid_open, bid_high, bid_low, bid_close, ask_open, ask_high, ask_low, ask_close, volume
          from newest_candles('$1', 'M1', 500)" | tr -s '\n ' ' '
    echo
}
mapfile -t year < <(as sep_owner -c 'select pair from trading_pairs order by pair limit 10' |
    while read -r pair; do newest "$pair"; done)
printf '%-40s %-13s %8s %7s %7s %7s\n' query role runs p50_us p99_us max_us
measure 'newest 500 candles, ten pairs' sep_executor 500 "${year[@]}"
measure 'newest 500, an hour after a weekend' sep_executor 500 "$(newest USD_CAD)"
measure 'newest 500, over a hole of 40 days' sep_executor 500 "$(newest USD_CHF)"
measure 'newest 500 of a series of 121' sep_executor 121 "$(newest USD_JPY)"
measure 'newest 500 candles, ten pairs' sep_sync 500 "${year[@]}"
measure 'newest 500 candles, ten pairs' sep_readonly 500 "${year[@]}"
measure 'pending signals' sep_executor 20 \
    "select * from trading_signals where account = 'primary' and decided_at is null order by id limit 500"
measure 'open trades' sep_executor 10 'select * from v_open_trades'
measure 'open trades' sep_readonly 10 'select * from v_open_trades'
exit "$failed"
