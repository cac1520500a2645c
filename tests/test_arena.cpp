// The arena: size classes and order are tested where tensors are; here its promises to streams and captures, which are host logic.
#include <cstdlib>
#include <optional>

#include "complaints.h"
#include "core_arena.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

class HostArena final : public Arena {
  public:
    ~HostArena() override {
        for (const auto& block : blocks_) std::free(block->memory);
    }

  private:
    void* system_allocate(size_t bytes) override { return std::malloc(bytes); }
};

constexpr size_t size = 1000;

const void* address(const BlockRef& block) { return block.get()->memory; }

/// What a request of `size` bytes gets and gives back at once: the block that is next in line.
const void* next(Arena& arena) { return address(BlockRef(arena.obtain(size))); }

}  // namespace

TEST_CASE("arena: on one stream a block that comes back is the next one handed out") {
    HostArena arena;
    const void* first = next(arena);
    CHECK(next(arena) == first);
    const BlockRef held(arena.obtain(size));
    CHECK(address(held) == first);
    CHECK(next(arena) != first);
    CHECK(arena.system_allocations() == 2);
}

TEST_CASE("arena: each stream has its own blocks") {
    HostArena arena;
    const void* main = next(arena);
    arena.use_stream(1);
    const void* side = next(arena);
    CHECK(side != main);
    CHECK(next(arena) == side);
    arena.use_stream(0);
    CHECK(next(arena) == main);
    arena.joined();
    arena.begin_step();
    CHECK(next(arena) == main);
}

TEST_CASE("arena: a block that comes back under another stream waits for the next step, and goes to its own") {
    HostArena arena;
    arena.use_stream(1);
    std::optional<BlockRef> made(arena.obtain(size));
    const void* side = address(*made);
    arena.use_stream(0);
    arena.joined();
    made.reset();
    CHECK(next(arena) != side);
    arena.use_stream(1);
    CHECK(next(arena) != side);
    arena.use_stream(0);
    CHECK(says(complaint<std::runtime_error>([&] { arena.begin_step(); }), {"stream 1 was not joined"}));
    arena.joined();
    arena.begin_step();
    CHECK(next(arena) != side);
    arena.use_stream(1);
    const BlockRef one(arena.obtain(size)), other(arena.obtain(size));
    CHECK((address(one) == side || address(other) == side));
    CHECK(arena.system_allocations() == 3);
}

TEST_CASE("arena: a block that a side stream may still read waits, though it comes back under its own stream") {
    HostArena arena;
    std::optional<BlockRef> images(arena.obtain(size)), kept(arena.obtain(size));
    const void *read = address(*images), *later = address(*kept);
    arena.use_stream(1);  // reads them from here on
    arena.use_stream(0);
    const void* fresh = next(arena);
    CHECK(next(arena) == fresh);  // what it got in this turn nobody else has seen
    images.reset();
    CHECK(next(arena) == fresh);
    arena.joined();
    kept.reset();
    CHECK(next(arena) == later);  // nothing is in flight any more
    CHECK(later != read);
    arena.begin_step();
    const BlockRef a(arena.obtain(size)), b(arena.obtain(size)), c(arena.obtain(size));
    CHECK(arena.system_allocations() == 3);
}

TEST_CASE("arena: a side stream's older block waits while another side stream is in flight") {
    HostArena arena;
    arena.use_stream(2);
    std::optional<BlockRef> activation(arena.obtain(size)), other(arena.obtain(size));
    const void *first = address(*activation), *second = address(*other);
    arena.use_stream(0);
    arena.joined();
    arena.use_stream(2);
    activation.reset();
    CHECK(next(arena) == first);  // alone: behind everything
    arena.use_stream(1);
    arena.use_stream(2);
    other.reset();
    CHECK(next(arena) == first);
    CHECK(next(arena) != second);
}

TEST_CASE("arena: equal steps on several streams get the same addresses and nothing from the system") {
    HostArena arena;
    const auto step = [&] {
        arena.begin_step();
        std::vector<const void*> seen;
        std::vector<BlockRef> held;
        const auto work = [&](int stream) {
            arena.use_stream(stream);
            for (int i = 0; i < 4; ++i) {
                held.emplace_back(arena.obtain(size));
                seen.push_back(address(held.back()));
                if (i % 2) held.erase(held.begin());
            }
        };
        for (const int stream : {1, 2, 0}) work(stream);
        arena.joined();
        for (const int stream : {2, 1, 0}) work(stream);
        arena.joined();
        return seen;
    };
    step();
    const auto second = step();
    const size_t allocations = arena.system_allocations();
    for (int i = 0; i < 5; ++i) CHECK(step() == second);
    CHECK(arena.system_allocations() == allocations);
}

TEST_CASE("arena: what is handed out in a capture is recycled there and then kept from all others") {
    HostArena arena;
    const void* before = next(arena);
    arena.begin_capture();
    CHECK(says(complaint<std::runtime_error>([&] { arena.begin_capture(); }), {"a capture is under way"}));
    CHECK(next(arena) == before);  // free blocks may be taken over
    CHECK(next(arena) == before);
    std::optional<BlockRef> result(arena.obtain(size));
    const void* second = next(arena);
    arena.use_stream(1);
    const void* side = next(arena);
    arena.use_stream(0);
    arena.joined();
    std::vector<BlockRef> held = arena.end_capture();
    CHECK(held.size() == 3);

    const size_t allocations = arena.system_allocations();
    result.reset();  // a result that outlives the capture changes nothing
    arena.begin_step();
    const void* eager = next(arena);
    CHECK((eager != before && eager != second && eager != side));
    CHECK(arena.system_allocations() == allocations + 1);

    held.clear();
    arena.begin_step();
    std::vector<BlockRef> again;
    for (int i = 0; i < 3; ++i) again.emplace_back(arena.obtain(size));
    arena.use_stream(1);
    CHECK(next(arena) == side);
    CHECK(arena.system_allocations() == allocations + 1);
}

TEST_SUITE_END();
