// Plays variants over segments of a series of bars: what backtest.rs defines, to the last digit.
//
// One thread plays one variant on one segment. The 128 variants of a block share the bars and the features, which
// pass through shared memory tile by tile; the grid is (blocks of variants) x (segments). Floats are multiplied and
// added in the order of qfh/score.rs, each operation rounded by itself; everything after that is integers.
//
// A SELL is played as a BUY on mirrored prices: all its prices are negated and its highs and lows swapped. So stop <
// price < target holds for both sides, and one set of comparisons serves them.
//
// The same source is compiled by the tests as C++ for the CPU (gpu/tests/cuda/shim.hpp).

constexpr int BLOCK = 128;
constexpr int TILE = 64;
constexpr unsigned GATE_FRESH = 1u << 24;
constexpr int MAX_MOVE = 10000000;
constexpr int CENTITICKS = 100;

// backend/cuda/driver.rs uploads the columns in this order.
enum BarColumn { BID_OPEN, BID_HIGH, BID_LOW, BID_CLOSE, ASK_OPEN, ASK_HIGH, ASK_LOW, ASK_CLOSE, VOLATILITY, NIGHTS };
enum FeatureColumn { STRICTNESS, STABILITY, COHERENCE, ENTROPY, GAIN, RUPTURE, DOWN };

struct Distance {
    int ticks;
    int ranges;
};

// lane.rs
struct Lane {
    float stability, coherence, entropy;
    float buy_above, sell_above;
    float min_confidence, min_coherence, collapse;
    unsigned hours, buy_needs, sell_needs;
    Distance stop, target;
    int hold;
};

// backtest.rs
struct Stats {
    long long net;
    unsigned long long squares;
    long long drawdown;
    unsigned trades, wins, buys, bars_held;
};

static_assert(sizeof(Lane) == 64 && sizeof(Stats) == 40, "the host copies other structures");

struct Costs {
    int slippage, commission, swap_buy, swap_sell;
};

// What a bar offers to one side. Prices are those at which it leaves (open, high, low, close) and enters.
struct alignas(16) Side {
    int open, high, low, close;
    int enter_open, enter_close;
    float coherence, rupture;
};

// What the scores of one side are made of.
struct alignas(16) Parts {
    float stability, coherence, entropy, gain;
};

struct alignas(16) Row {
    Parts buy, sell;
    float strictness;
    unsigned gate;
    int volatility, nights;
    Side sides[2];
};

enum State { FLAT, SIGNALLED, OPEN };
enum Which { BUY, SELL };

__device__ __forceinline__ float weigh(const Lane &lane, const Parts &parts) {
    const float two = __fadd_rn(__fmul_rn(lane.stability, parts.stability), __fmul_rn(lane.coherence, parts.coherence));
    return __fmul_rn(__fadd_rn(two, __fmul_rn(lane.entropy, parts.entropy)), parts.gain);
}

__device__ __forceinline__ int ticks(const Distance &distance, int volatility) {
    const int sum = distance.ticks + ((distance.ranges * volatility) >> 12);
    return sum < 1 ? 1 : sum;
}

// Brings one bar into shared memory, both sides in terms of a BUY.
__device__ __forceinline__ void stage(Row &row, const int *bars, const unsigned *gates, const float *features, long long count,
                                      long long bar, bool symmetric) {
    const auto price = [&](int column) { return bars[column * count + bar]; };
    const auto feature = [&](int column) { return features[column * count + bar]; };
    const float s = feature(STABILITY), c = feature(COHERENCE), e = feature(ENTROPY), g = feature(GAIN);
    const float rupture = feature(RUPTURE);
    row.buy = {__fsub_rn(1.0f, s), c, __fsub_rn(1.0f, e), g};
    float sell_coherence = c, sell_rupture = rupture;
    if (symmetric) {
        // The mirrored bits have columns of their own behind the first ones.
        const float down = feature(DOWN + COHERENCE - 1);
        row.sell = {__fsub_rn(1.0f, feature(DOWN + STABILITY - 1)), down, __fsub_rn(1.0f, feature(DOWN + ENTROPY - 1)),
                    feature(DOWN + GAIN - 1)};
        sell_coherence = down;
        sell_rupture = feature(DOWN + RUPTURE - 1);
    } else {
        row.sell = {s, __fsub_rn(1.0f, c), e, g};
    }
    row.strictness = feature(STRICTNESS);
    row.gate = gates[bar];
    row.volatility = price(VOLATILITY);
    row.nights = price(NIGHTS);
    row.sides[BUY] = {price(BID_OPEN), price(BID_HIGH), price(BID_LOW), price(BID_CLOSE),
                      price(ASK_OPEN), price(ASK_CLOSE), c, rupture};
    row.sides[SELL] = {-price(ASK_OPEN), -price(ASK_LOW), -price(ASK_HIGH), -price(ASK_CLOSE),
                       -price(BID_OPEN), -price(BID_CLOSE), sell_coherence, sell_rupture};
}

// A variant's state between two bars, and what it came to so far.
struct Player {
    Stats stats;
    long long peak;
    int state, side;
    int stop, target, entry, entry_bar, entry_nights;

    __device__ __forceinline__ void book(const Costs &costs, int exit, int bar, int nights) {
        int moved = exit - entry;
        moved = moved < -MAX_MOVE ? -MAX_MOVE : moved > MAX_MOVE ? MAX_MOVE : moved;
        const int swap = side == BUY ? costs.swap_buy : costs.swap_sell;
        const long long net = moved * CENTITICKS - (costs.commission + swap * (nights - entry_nights));
        stats.net += net;
        const unsigned long long square = static_cast<unsigned long long>(net * net), squares = stats.squares + square;
        stats.squares = squares < square ? ~0ull : squares;
        peak = stats.net > peak ? stats.net : peak;
        const long long fall = peak - stats.net;
        stats.drawdown = fall > stats.drawdown ? fall : stats.drawdown;
        stats.trades += 1;
        stats.wins += net > 0;
        stats.buys += side == BUY;
        stats.bars_held += bar - entry_bar + 1;
    }

    // The close of a bar: a signal, with its stop and target, or none.
    __device__ __forceinline__ void listen(const Lane &lane, const Row &row, bool symmetric) {
        state = FLAT;
        const float buy = weigh(lane, row.buy), sell = weigh(lane, row.sell);
        const bool buys = buy > __fmul_rn(lane.buy_above, row.strictness);
        const bool sells = sell > __fmul_rn(lane.sell_above, row.strictness);
        if (!(buys | sells) | ((row.gate & lane.hours) == 0)) {
            return;
        }
        const bool takes_buy = buys && (!symmetric || !sells || buy > sell);
        if (!takes_buy && !(sells && (!symmetric || !buys || sell > buy))) {
            return;
        }
        const Side &of = row.sides[takes_buy ? BUY : SELL];
        const unsigned needs = takes_buy ? lane.buy_needs : lane.sell_needs;
        if ((takes_buy ? buy : sell) >= lane.min_confidence && of.coherence >= lane.min_coherence &&
            of.rupture < lane.collapse && (row.gate & needs) == needs) {
            state = SIGNALLED;
            side = takes_buy ? BUY : SELL;
            stop = of.enter_close - ticks(lane.stop, row.volatility);
            target = of.enter_close + ticks(lane.target, row.volatility);
        }
    }

    __device__ __forceinline__ void step(const Lane &lane, const Costs &costs, const Row &row, int bar, bool symmetric) {
        if (state != FLAT) {
            const Side &of = row.sides[side];
            const int open = of.open, high = of.high, low = of.low;
            if (state == SIGNALLED) {
                const bool between = stop < open && open < target;
                state = between && (row.gate & GATE_FRESH) != 0 ? OPEN : FLAT;
                entry = of.enter_open + costs.slippage;
                entry_bar = bar;
                entry_nights = row.nights;
            }
            if (state == OPEN) {
                // A position just entered lies between its levels: its open cannot close it.
                const bool stops = open <= stop, reaches = open >= target, late = bar - entry_bar >= lane.hold;
                const bool stops_within = low <= stop, reaches_within = high >= target;
                if (!(stops | reaches | late | stops_within | reaches_within)) {
                    return;
                }
                int exit = open - costs.slippage;
                if (!stops) {
                    if (reaches) {
                        exit = open;
                    } else if (!late) {
                        exit = stops_within ? stop - costs.slippage : target;
                    }
                }
                book(costs, exit, bar, row.nights);
            }
        }
        listen(lane, row, symmetric);
    }
};

extern "C" __global__ void __launch_bounds__(BLOCK, 6)
    sweep(const int *__restrict__ bars, const unsigned *__restrict__ gates, const float *__restrict__ features, int count,
          int symmetric, const Lane *__restrict__ lanes, int lane_count, const int2 *__restrict__ segments, int slippage,
          int commission, int swap_buy, int swap_sell, Stats *__restrict__ stats) {
    __shared__ Row tile[TILE];
    const Costs costs = {slippage, commission, swap_buy, swap_sell};
    const int at = blockIdx.x * BLOCK + threadIdx.x;
    // Threads beyond the last variant play it again and keep silent: all must reach the barriers.
    Lane lane = lanes[at < lane_count ? at : lane_count - 1];
    // Nor does its time, which is over at the open of a later bar at the earliest.
    lane.hold = lane.hold < 1 ? 1 : lane.hold;
    const int2 segment = segments[blockIdx.y];
    Player player = {};
    for (int start = segment.x; start < segment.y; start += TILE) {
        const int length = segment.y - start < TILE ? segment.y - start : TILE;
        __syncthreads();
        for (int row = threadIdx.x; row < length; row += BLOCK) {
            stage(tile[row], bars, gates, features, count, start + row, symmetric != 0);
        }
        __syncthreads();
        const Row *row = tile;
        for (int bar = start; bar < start + length; bar++, row++) {
            player.step(lane, costs, *row, bar, symmetric != 0);
        }
        if (start + length == segment.y && player.state == OPEN) {
            const Row &last = tile[length - 1];
            player.book(costs, last.sides[player.side].close - costs.slippage, segment.y - 1, last.nights);
        }
    }
    if (at < lane_count) {
        stats[static_cast<long long>(at) * gridDim.y + blockIdx.y] = player.stats;
    }
}
