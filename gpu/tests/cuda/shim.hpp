// Lets a host compiler take CUDA C++ as it is: one block at a time, its threads as fibres that take turns at every
// barrier. Compile with -ffp-contract=off: no operation may be fused with another.
#pragma once

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

struct Dim {
    unsigned x = 1, y = 1, z = 1;
};
struct int2 {
    int x, y;
};

static Dim threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)

static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }

namespace shim {

constexpr size_t STACK = 64 << 10;

struct Fibre {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(STACK);
    bool done = false;
};

static ucontext_t scheduler;
static std::vector<Fibre> fibres;
static unsigned running;
static std::function<void()> body;

static void enter() {
    body();
    fibres[running].done = true;
    swapcontext(&fibres[running].context, &scheduler);
}

// Runs a kernel over a grid of one-dimensional blocks. A barrier that some threads of a block reach and others do not
// hangs a card; here it ends the process.
static void launch(Dim grid, Dim block, std::function<void()> kernel) {
    gridDim = grid, blockDim = block, body = std::move(kernel);
    fibres.resize(block.x);
    for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++) {
        for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
            for (auto &fibre : fibres) {
                fibre.done = false;
                getcontext(&fibre.context);
                fibre.context.uc_stack.ss_sp = fibre.stack.data();
                fibre.context.uc_stack.ss_size = STACK;
                fibre.context.uc_link = nullptr;
                makecontext(&fibre.context, enter, 0);
            }
            for (unsigned left = block.x; left == block.x;) {
                left = 0;
                for (running = 0; running < block.x; running++) {
                    threadIdx.x = running;
                    swapcontext(&scheduler, &fibres[running].context);
                    left += !fibres[running].done;
                }
                if (left != 0 && left != block.x) {
                    std::fprintf(stderr, "a barrier was reached by %u of %u threads\n", left, block.x);
                    std::abort();
                }
            }
        }
    }
}

}  // namespace shim

static inline void __syncthreads() {
    using namespace shim;
    const unsigned self = running;
    swapcontext(&fibres[self].context, &scheduler);
    threadIdx.x = self;
}
