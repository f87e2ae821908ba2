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

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

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
static std::map<void *, long long> buffers;

// Every call ends here: what it answers once the device is dead is that it is dead.
static int answer(int code = 0) {
    const long long dies = setting("dies", 0);
    return dies != 0 && launches >= dies ? 700 : code;
}

static int allocate(void **there, size_t bytes) {
    const long long all = setting("real", 1LL << 40), size = static_cast<long long>(bytes);
    if (bytes == 0) {
        return 1;
    }
    if (taken + size > all) {
        return answer(2);
    }
    // Filled, as memory of a card is full of what was there before.
    *there = std::memset(std::malloc(bytes), 0xA5, bytes);
    buffers[*there] = size;
    taken += size;
    return answer();
}

static int release(void *there) {
    const auto found = buffers.find(there);
    if (found == buffers.end()) {
        return 1;
    }
    taken -= found->second;
    std::free(there);
    buffers.erase(found);
    return answer();
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
int cuCtxSynchronize() { return answer(); }
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
    *stream = &taken;
    return 0;
}
int cuStreamDestroy_v2(void *) { return answer(); }
int cuStreamSynchronize(void *) { return answer(); }
int cuStreamWaitEvent(void *, void *, unsigned) { return answer(); }
int cuEventCreate(void **event, unsigned) {
    *event = &taken;
    return answer();
}
int cuEventRecord(void *, void *) { return answer(); }
int cuEventDestroy_v2(void *) { return answer(); }
int cuMemAllocAsync(void **there, size_t bytes, void *) { return allocate(there, bytes); }
int cuMemFreeAsync(void *there, void *) { return release(there); }
int cuMemsetD8Async(void *there, unsigned char byte, size_t count, void *) {
    std::memset(there, byte, count);
    return answer();
}
int cuMemcpyHtoDAsync_v2(void *there, const void *here, size_t bytes, void *) {
    std::memcpy(there, here, bytes);
    return answer();
}
int cuMemcpyDtoHAsync_v2(void *here, const void *there, size_t bytes, void *) {
    std::memcpy(here, there, bytes);
    return answer();
}
int cuLaunchKernel(void *, unsigned x, unsigned y, unsigned z, unsigned wide, unsigned high, unsigned deep, unsigned,
                   void *, void **given, void **) {
    if (answer() != 0) {
        return answer();
    }
    if (z != 1 || high != 1 || deep != 1 || wide != BLOCK || y > 65535) {
        return 1;
    }
    const auto buffer = [&](int at) { return *static_cast<void **>(given[at]); };
    const auto number = [&](int at) { return *static_cast<int *>(given[at]); };
    const auto bars = static_cast<const int *>(buffer(0));
    const auto gates = static_cast<const unsigned *>(buffer(1));
    const auto features = static_cast<const float *>(buffer(2));
    const auto lanes = static_cast<const Lane *>(buffer(5));
    const auto segments = static_cast<const int2 *>(buffer(7));
    const auto stats = static_cast<Stats *>(buffer(12));
    const int count = number(3), symmetric = number(4), lane_count = number(6);
    const long long columns = symmetric != 0 ? 11 : 6, segment_count = y;
    const std::pair<int, long long> expected[] = {
        {0, 40LL * count}, {1, 4LL * count}, {2, 4 * columns * count}, {5, 64LL * lane_count}, {7, 8 * segment_count},
        {12, 40 * segment_count * lane_count}};
    for (const auto &[at, bytes] : expected) {
        if (buffers.count(buffer(at)) == 0 || buffers[buffer(at)] != bytes) {
            std::fprintf(stderr, "argument %d is no buffer of %lld bytes\n", at, bytes);
            return 1;
        }
    }
    shim::launch({x, y, 1}, {wide, 1, 1}, [&] {
        sweep(bars, gates, features, count, symmetric, lanes, lane_count, segments, number(8), number(9), number(10),
              number(11), stats);
    });
    stats[0].net += setting("wrong", 0);
    launches += 1;
    return 0;
}
}
