// A libcuda.so without a GPU: device memory is host memory, kernels run on the CPU by shim.hpp, and faults are made on
// purpose. FAKE_CUDA holds words such as "init=100 memory=1000000":
//   abort, hang       what cuInit does instead of answering
//   init=CODE         what cuInit answers
//   count=N           devices
//   capability=MAJOR  compute capability MAJOR.0
//   ptx=CODE          what loading the kernel answers
//   memory=BYTES      free memory, as told
//   real=BYTES        memory that can really be had
//   wrong=1           results are off by one
//   dies=N            the Nth launch answers well, and every call after it fails with code 700
//   deferred=1        the slowest device there can be: a stream does nothing before somebody waits for it. Copies read
//                     and write the host's memory only then, and what was freed is full of rubbish. Otherwise
//                     everything is done as soon as it is given: the fastest device

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "shim.hpp"

#include "../../kernels/sweep.cu"

static long long setting(const char *name, long long otherwise) {
    const char *text = std::getenv("FAKE_CUDA");
    const std::string words = std::string(" ") + (text ? text : "") + " ", key = std::string(" ") + name + "=";
    const auto at = words.find(key);
    return at == std::string::npos ? otherwise : std::atoll(words.c_str() + at + key.size());
}

static bool asked(const char *word) {
    const char *text = std::getenv("FAKE_CUDA");
    return text && std::strcmp(text, word) == 0;
}

static long long taken = 0, launches = 0;
static bool broken = false;
static std::map<char *, long long> buffers;

// Every call ends here: what it answers once the device is dead is that it is dead.
static int answer(int code = 0) {
    const long long dies = setting("dies", 0);
    return broken || (dies != 0 && launches >= dies) ? 700 : code;
}

// What a stream was given, in order. Work that only waits, or frees, takes no time of its own.
struct Stream {
    struct Work {
        std::function<void()> act;
        bool brief;
        Stream *after;
        long long place;
    };
    std::deque<Work> waiting;
    long long given = 0, done = 0;
};

// A place in a stream: what it was given before.
struct Event {
    Stream *stream;
    long long place;
};

static std::vector<Stream *> streams{new Stream};

static Stream *stream_of(void *handle) { return handle ? static_cast<Stream *>(handle) : streams[0]; }

static void run(Stream *stream, long long place) {
    while (stream->done < place) {
        const Stream::Work work = std::move(stream->waiting.front());
        stream->waiting.pop_front();
        if (work.after) {
            run(work.after, work.place);
        }
        work.act();
        stream->done += 1;
    }
}

static int run_all() {
    for (Stream *stream : streams) {
        run(stream, stream->given);
    }
    return answer();
}

static int give(void *handle, std::function<void()> act, bool brief = false, Event after = {nullptr, 0}) {
    Stream *stream = stream_of(handle);
    stream->waiting.push_back({std::move(act), brief, after.stream, after.place});
    stream->given += 1;
    if (setting("deferred", 0) == 0) {
        run(stream, stream->given);
    }
    return answer();
}

// Frees what nothing is left to wait for.
static void tidy() {
    for (bool moved = true; moved;) {
        moved = false;
        for (Stream *stream : streams) {
            while (!stream->waiting.empty()) {
                const auto &[act, brief, after, place] = stream->waiting.front();
                if (!brief || (after && after->done < place)) {
                    break;
                }
                run(stream, stream->done + 1);
                moved = true;
            }
        }
    }
}

static int allocate(void **there, size_t bytes) {
    const long long all = setting("real", 1LL << 40), size = static_cast<long long>(bytes);
    if (bytes == 0) {
        return 1;
    }
    if (taken + size > all) {
        tidy();
    }
    if (taken + size > all) {
        std::fprintf(stderr, "no room for %lld bytes\n", size);
        return answer(2);
    }
    // Filled, as memory of a card is full of what was there before.
    *there = std::memset(std::malloc(bytes), 0xA5, bytes);
    buffers[static_cast<char *>(*there)] = size;
    taken += size;
    return answer();
}

static void release(char *there) {
    const auto found = buffers.find(there);
    taken -= found->second;
    if (setting("deferred", 0) != 0) {
        // Left where it is: what still reads it finds rubbish.
        std::memset(there, 0xDB, found->second);
    } else {
        std::free(there);
    }
    buffers.erase(found);
}

// Whether work may touch these bytes of the device; if not, the device dies of it.
static bool lives(const void *there, long long bytes, const char *doing) {
    const auto at = static_cast<const char *>(there);
    auto found = buffers.upper_bound(const_cast<char *>(at));
    if (found != buffers.begin() && at + bytes <= std::prev(found)->first + std::prev(found)->second) {
        return true;
    }
    std::fprintf(stderr, "%s: the memory was freed before\n", doing);
    broken = true;
    return false;
}

extern "C" {

int cuInit(unsigned) {
    if (asked("abort")) {
        std::abort();
    }
    if (asked("hang")) {
        pause();
    }
    return static_cast<int>(setting("init", 0));
}
int cuDriverGetVersion(int *version) {
    *version = 12080;
    return 0;
}
int cuDeviceGetCount(int *count) {
    *count = static_cast<int>(setting("count", 1));
    return 0;
}
int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return 0;
}
int cuDeviceGetName(char *name, int length, int) {
    std::snprintf(name, length, "Emulated");
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
        case 13: *value = 1000000; break;                                  // clock
        case 16: *value = 4; break;                                        // processors
        case 75: *value = static_cast<int>(setting("capability", 9)); break;  // capability, major
        case 76: *value = 0; break;                                        // and minor
        case 115: *value = 1; break;                                       // memory pools
        default: *value = 0;
    }
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int) {
    *context = &taken;
    return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxGetCurrent(void **context) {
    *context = &taken;
    return 0;
}
int cuCtxSetCurrent(void *) { return 0; }
int cuCtxSynchronize() { return run_all(); }
int cuMemGetInfo_v2(size_t *free, size_t *total) {
    *free = static_cast<size_t>(setting("memory", 1 << 30));
    *total = 1LL << 31;
    return answer();
}
int cuModuleLoadData(void **module, const void *ptx) {
    *module = &taken;
    return std::strstr(static_cast<const char *>(ptx), ".visible .entry sweep") ? static_cast<int>(setting("ptx", 0)) : 218;
}
int cuModuleGetFunction(void **function, void *, const char *name) {
    *function = &taken;
    return std::strcmp(name, "sweep") == 0 ? 0 : 500;
}
int cuModuleUnload(void *) { return answer(); }
int cuStreamCreate(void **stream, unsigned) {
    streams.push_back(new Stream);
    *stream = streams.back();
    return 0;
}
// Places in a stream outlive it.
int cuStreamDestroy_v2(void *) { return answer(); }
int cuStreamSynchronize(void *stream) {
    run(stream_of(stream), stream_of(stream)->given);
    return answer();
}
int cuStreamWaitEvent(void *stream, void *event, unsigned) {
    return give(stream, [] {}, true, *static_cast<Event *>(event));
}
int cuEventCreate(void **event, unsigned) {
    *event = new Event{nullptr, 0};
    return answer();
}
int cuEventRecord(void *event, void *stream) {
    *static_cast<Event *>(event) = {stream_of(stream), stream_of(stream)->given};
    return answer();
}
int cuEventDestroy_v2(void *event) {
    delete static_cast<Event *>(event);
    return answer();
}
int cuMemAllocAsync(void **there, size_t bytes, void *) { return allocate(there, bytes); }
int cuMemFreeAsync(void *there, void *stream) {
    const auto buffer = static_cast<char *>(there);
    if (buffers.count(buffer) == 0) {
        return 1;
    }
    return give(stream, [=] { release(buffer); }, true);
}
int cuMemsetD8Async(void *there, unsigned char byte, size_t count, void *stream) {
    return give(stream, [=] { lives(there, count, "setting") && std::memset(there, byte, count); });
}
int cuMemcpyHtoDAsync_v2(void *there, const void *here, size_t bytes, void *stream) {
    return give(stream, [=] { lives(there, bytes, "copying there") && std::memcpy(there, here, bytes); });
}
int cuMemcpyDtoHAsync_v2(void *here, const void *there, size_t bytes, void *stream) {
    return give(stream, [=] { lives(there, bytes, "copying back") && std::memcpy(here, there, bytes); });
}
int cuLaunchKernel(void *, unsigned x, unsigned y, unsigned z, unsigned wide, unsigned high, unsigned deep, unsigned,
                   void *stream, void **given, void **) {
    if (answer() != 0) {
        return answer();
    }
    if (z != 1 || high != 1 || deep != 1 || wide != BLOCK || y > 65535) {
        return 1;
    }
    const auto buffer = [&](int at) { return *static_cast<char **>(given[at]); };
    const auto number = [&](int at) { return *static_cast<int *>(given[at]); };
    const int count = number(3), symmetric = number(4), lane_count = number(6);
    const Costs costs = {number(8), number(9), number(10), number(11)};
    const long long columns = symmetric != 0 ? 11 : 6, segment_count = y;
    const std::map<int, std::pair<char *, long long>> expected = {
        {0, {buffer(0), 40LL * count}},      {1, {buffer(1), 4LL * count}},
        {2, {buffer(2), 4 * columns * count}}, {5, {buffer(5), 64LL * lane_count}},
        {7, {buffer(7), 8 * segment_count}}, {12, {buffer(12), 40 * segment_count * lane_count}}};
    for (const auto &[at, range] : expected) {
        if (buffers.count(range.first) == 0 || buffers[range.first] != range.second) {
            std::fprintf(stderr, "argument %d is no buffer of %lld bytes\n", at, range.second);
            return 1;
        }
    }
    give(stream, [=] {
        for (const auto &[at, range] : expected) {
            if (answer() != 0 || !lives(range.first, range.second, "computing")) {
                return;
            }
        }
        const auto argument = [&](int at) { return static_cast<void *>(expected.at(at).first); };
        const auto stats = static_cast<Stats *>(argument(12));
        shim::launch({x, y, 1}, {wide, 1, 1}, [&] {
            sweep(static_cast<const int *>(argument(0)), static_cast<const unsigned *>(argument(1)),
                  static_cast<const float *>(argument(2)), count, symmetric, static_cast<const Lane *>(argument(5)), lane_count,
                  static_cast<const int2 *>(argument(7)), costs.slippage, costs.commission, costs.swap_buy, costs.swap_sell,
                  stats);
        });
        stats[0].net += setting("wrong", 0);
        launches += 1;
    });
    return 0;
}
}
