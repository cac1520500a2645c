#include "arena.h"

#include <algorithm>
#include <cstring>

namespace distill {
namespace {

constexpr size_t smallest_class = 256, smallest_lent = 16384;

/// Rounds up to a multiple of an eighth of the power of two below.
size_t size_class(size_t bytes) {
    if (bytes <= smallest_class) return smallest_class;
    size_t octave = smallest_class;
    while (octave * 2 <= bytes) octave *= 2;
    const size_t step = octave / 8;
    return (bytes + step - 1) / step * step;
}

/// In the emulation (gpu_emulation.h) memory holds NaNs, so that one which is read before it is written spreads.
Block* as_found(Block* block) {
#ifdef DISTILL_EMULATE_GPU
    std::memset(block->memory, 0xff, block->bytes);
#endif
    return block;
}

}  // namespace

BlockRef::~BlockRef() {
    if (block_ && --block_->references == 0) block_->arena->give_back(block_);
}

Block* Arena::obtain(size_t bytes) {
    const size_t wanted = size_class(bytes);
    requested_bytes_ += bytes;
    // An epoch's last, smaller batch borrows from the classes above rather than growing the process. What is small does not: it would
    // save nothing, and the class above would then miss a block in another order of requests.
    const size_t highest = wanted < smallest_lent ? wanted : 2 * wanted;
    for (auto it = free_.lower_bound(wanted); it != free_.end() && it->first <= highest; ++it) {
        if (it->second.empty()) continue;
        Block* block = it->second.back();
        it->second.pop_back();
        return as_found(block);
    }
    auto block = std::make_unique<Block>();
    block->arena = this;
    block->bytes = wanted;
    block->memory = system_allocate(wanted);
    system_bytes_ += wanted;
    blocks_.push_back(std::move(block));
    return as_found(blocks_.back().get());
}

void Arena::begin_step() {
    for (auto& [bytes, blocks] : free_)
        std::sort(blocks.begin(), blocks.end(), [](const Block* a, const Block* b) { return a->memory < b->memory; });
}

void Arena::give_back(Block* block) { free_[block->bytes].push_back(block); }

}  // namespace distill
