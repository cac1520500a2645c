// Fibers: a thread that waits leaves its stack as it is and another one goes on. swapcontext would ask the kernel for the signal mask
// at every switch; it starts a fiber, and from then on _setjmp and _longjmp switch.
#include "gpu_emulation.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "base_error.h"

namespace distill {
namespace emulation {
namespace {

constexpr size_t stack_bytes = size_t{128} << 10;
constexpr int nobody = -1, warp = 32;

struct Fiber {
    std::unique_ptr<char[]> stack{new char[stack_bytes]};
    jmp_buf resume;
};

struct Thread {
    enum { unstarted, waiting, released, finished } state = unstarted;
    Fiber* fiber = nullptr;  ///< that carries it, once started
    unsigned mask = 0;       ///< what it waits for, and where
    const char* file = "";
    int line = 0;
    uint64_t brought = 0, received = 0;  ///< by a shuffle
    int from = nobody;                   ///< the lane it wants to hear from
};

/// Returns when somebody jumps to `from`.
[[gnu::noinline]] void jump(jmp_buf& from, jmp_buf& to) {
    if (_setjmp(from) == 0) _longjmp(to, 1);
}

struct Machine {
    std::mutex one_launch;
    Order order = Order::alternating;
    std::mt19937_64 random;
    uint64_t launches = 0;
    std::map<const void*, std::vector<std::pair<void*, size_t>>> shared;  ///< of each kernel

    // The launch and its block.
    const void* kernel = nullptr;
    const std::function<void()>* body = nullptr;
    Order order_now = Order::ascending;
    std::vector<Thread> threads;
    std::vector<int> ready;     ///< threads that can go on
    std::vector<int> arrivals;  ///< by a mask's lowest thread
    int arrived = 0, finished = 0, current = nobody;
    std::exception_ptr error;

    jmp_buf host;
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Fiber*> idle;
    Fiber* starting = nullptr;
    ucontext_t starter, started;

    int count() const { return static_cast<int>(threads.size()); }
    void run_block();
    int next();
    jmp_buf& destination(int thread);
    Fiber* start_fiber();
    void carry(Fiber& fiber);
    void wait(unsigned mask, const char* file, int line);
    void release(unsigned mask);
    [[noreturn]] void report_divergence() const;
};

Machine& machine() {
    static Machine instance;
    return instance;
}

std::string where(const Thread& t) { return text(t.file, ":", t.line); }

/// Chooses who goes on. `ready` is a stack in the order of its releases, so that one warp runs as far ahead of the others as it can.
int Machine::next() {
    if (error || ready.empty()) return nobody;
    if (order_now == Order::random) std::swap(ready[random() % ready.size()], ready.back());
    const int thread = ready.back();
    ready.pop_back();
    current = thread;
    threadIdx = dim3(static_cast<unsigned>(thread), 0, 0);
    return thread;
}

jmp_buf& Machine::destination(int thread) {
    if (thread == nobody) return host;
    Thread& t = threads[static_cast<size_t>(thread)];
    if (t.state == Thread::unstarted) t.fiber = start_fiber();
    return t.fiber->resume;
}

/// A fiber that, once jumped to, carries the current thread.
Fiber* Machine::start_fiber() {
    if (idle.empty()) {
        fibers.push_back(std::make_unique<Fiber>());
        starting = fibers.back().get();
        getcontext(&started);
        started.uc_stack.ss_sp = starting->stack.get();
        started.uc_stack.ss_size = stack_bytes;
        started.uc_link = nullptr;
        makecontext(
            &started, [] { machine().carry(*machine().starting); }, 0);
        swapcontext(&starter, &started);
        idle.push_back(starting);
    }
    Fiber* fiber = idle.back();
    idle.pop_back();
    return fiber;
}

/// A fiber's life. Threads that wait for nobody follow each other on one fiber, without a switch.
void Machine::carry(Fiber& fiber) {
    if (_setjmp(fiber.resume) == 0) setcontext(&starter);
    for (;;) {
        int thread = current;
        do {
            threads[static_cast<size_t>(thread)].fiber = &fiber;
            try {
                (*body)();
            } catch (...) {
                error = std::current_exception();
            }
            threads[static_cast<size_t>(thread)].state = Thread::finished;
            ++finished;
            thread = next();
        } while (thread != nobody && threads[static_cast<size_t>(thread)].state == Thread::unstarted);
        jmp_buf& to = destination(thread);
        idle.push_back(&fiber);
        jump(fiber.resume, to);
    }
}

void Machine::run_block() {
    for (const auto& [memory, bytes] : shared[kernel]) memset(memory, 0xff, bytes);
    std::fill(threads.begin(), threads.end(), Thread{});
    std::fill(arrivals.begin(), arrivals.end(), 0);
    arrived = finished = 0;
    ready.resize(threads.size());
    std::iota(ready.begin(), ready.end(), 0);
    if (order_now == Order::ascending) std::reverse(ready.begin(), ready.end());
    jump(host, destination(next()));
    if (!error && finished == count()) return;
    fibers.clear();  // with the stacks of the threads that will never go on: device code owns nothing
    idle.clear();
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
    report_divergence();
}

void Machine::report_divergence() const {
    const auto waits = std::find_if(threads.begin(), threads.end(), [](const Thread& t) { return t.state == Thread::waiting; });
    const auto elsewhere = std::find_if(threads.begin(), threads.end(), [&](const Thread& t) {
        return t.state == Thread::finished || t.line != waits->line || strcmp(t.file, waits->file) != 0 || t.mask != waits->mask;
    });
    failure("GPU emulation: block (", blockIdx.x, ",", blockIdx.y, "): thread ", waits - threads.begin(), " waits for the others at ",
            where(*waits), ", where thread ", elsewhere - threads.begin(), " never comes: it ",
            elsewhere->state == Thread::finished ? "has finished" : "waits at " + where(*elsewhere));
}

void Machine::wait(unsigned mask, const char* file, int line) {
    Thread& me = threads[static_cast<size_t>(current)];
    me.state = Thread::waiting;
    me.mask = mask;
    me.file = file;
    me.line = line;
    if (mask == 0) {
        if (++arrived == count()) arrived = 0, release(0);
    } else {
        const int first = current / warp * warp, lanes = std::min(warp, count() - first);
        if (lanes < warp) mask &= (1u << lanes) - 1;
        if ((mask >> (current - first) & 1u) == 0)
            failure("GPU emulation: thread ", current, " is not in its own mask ", mask, " at ", where(me));
        int& here = arrivals[static_cast<size_t>(first + __builtin_ctz(mask))];
        if (++here == __builtin_popcount(mask)) here = 0, release(mask);
    }
    Fiber* mine = me.fiber;
    jmp_buf& to = destination(next());
    jump(mine->resume, to);
}

/// All have arrived who were waited for, if they came to one place; they exchange what they brought and can go on.
void Machine::release(unsigned mask) {
    const int first = mask ? current / warp * warp : 0, end = mask ? std::min(first + warp, count()) : count();
    const Thread& me = threads[static_cast<size_t>(current)];
    const auto takes_part = [&](int i) { return mask == 0 || (mask >> (i - first) & 1u) != 0; };
    for (int k = first; k < end; ++k) {
        const int i = order_now == Order::ascending ? end - 1 - (k - first) : k;
        if (!takes_part(i)) continue;
        Thread& t = threads[static_cast<size_t>(i)];
        if (t.state != Thread::waiting || t.mask != me.mask || t.line != me.line || strcmp(t.file, me.file) != 0)
            failure("GPU emulation: block (", blockIdx.x, ",", blockIdx.y, "): thread ", current, " waits at ", where(me), ", thread ", i,
                    " at ", where(t), t.mask != me.mask ? " with another mask" : "");
        if (t.from != nobody) {
            if (first + t.from >= end || !takes_part(first + t.from))
                failure("GPU emulation: thread ", i, " wants to hear from lane ", t.from, ", which does not take part, at ", where(t));
            t.received = threads[static_cast<size_t>(first + t.from)].brought;
        }
        t.state = Thread::released;
        ready.push_back(i);
    }
}

}  // namespace

void set_order(Order order, uint64_t seed) {
    machine().order = order;
    machine().random.seed(seed);
}

void run(const void* kernel, dim3 blocks, int threads, const std::function<void()>& thread) {
    Machine& m = machine();
    const std::lock_guard lock(m.one_launch);
    m.kernel = kernel;
    m.body = &thread;
    m.order_now = m.order == Order::alternating ? static_cast<Order>(m.launches++ % 3) : m.order;
    m.threads.resize(static_cast<size_t>(threads));
    m.arrivals.resize(static_cast<size_t>(threads));
    blockDim = dim3(static_cast<unsigned>(threads));
    gridDim = blocks;
    std::vector<unsigned> scrambled(size_t{blocks.x} * blocks.y);
    std::iota(scrambled.begin(), scrambled.end(), 0u);
    std::shuffle(scrambled.begin(), scrambled.end(), m.random);
    for (const unsigned block : scrambled) {
        blockIdx = dim3(block % blocks.x, block / blocks.x, 0);
        m.run_block();
    }
}

void register_shared(void* memory, size_t bytes) {
    memset(memory, 0xff, bytes);
    machine().shared[machine().kernel].emplace_back(memory, bytes);
}

void wait(unsigned mask, const char* file, int line) {
    Machine& m = machine();
    m.threads[static_cast<size_t>(m.current)].from = nobody;
    m.wait(mask, file, line);
}

uint64_t exchange(unsigned mask, uint64_t value, int from, const char* file, int line) {
    Machine& m = machine();
    Thread& me = m.threads[static_cast<size_t>(m.current)];
    me.brought = value;
    me.from = from;
    m.wait(mask, file, line);
    return me.received;
}

int lane() { return machine().current % warp; }

}  // namespace emulation
}  // namespace distill
