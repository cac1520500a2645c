#include "core_arena.h"

#include <algorithm>
#include <cstring>

#include "base_error.h"

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

Block* Arena::take_free(size_t wanted) {
    Pool& pool = pools_[stream_];
    // An epoch's last, smaller batch borrows from the classes above rather than growing the process. What is small does not: it would
    // save nothing, and the class above would then miss a block in another order of requests.
    const size_t highest = wanted < smallest_lent ? wanted : 2 * wanted;
    for (auto it = pool.lower_bound(wanted); it != pool.end() && it->first <= highest; ++it) {
        if (it->second.empty()) continue;
        Block* block = it->second.back();
        it->second.pop_back();
        return block;
    }
    return nullptr;
}

Block* Arena::obtain(size_t bytes) {
    const size_t wanted = size_class(bytes);
    Block* block = take_free(wanted);
    if (!block) {
        auto fresh = std::make_unique<Block>();
        fresh->arena = this;
        fresh->bytes = wanted;
        fresh->stream = stream_;
        fresh->memory = system_allocate(wanted);
        system_bytes_ += wanted;
        blocks_.push_back(std::move(fresh));
        block = blocks_.back().get();
    }
    requested_bytes_ += bytes;
    block->turn = turn_;
    if (capturing_ && !block->captured) block->captured = true, captured_.push_back(block);
    return as_found(block);
}

bool Arena::settled(const Block* block) const {
    const bool alone = in_flight_.size() == in_flight_.count(stream_);
    return block->stream == stream_ && (block->turn == turn_ || alone);
}

void Arena::give_back(Block* block) { (settled(block) ? pools_[block->stream][block->bytes] : waiting_).push_back(block); }

void Arena::use_stream(int stream) {
    if (stream == stream_) return;
    stream_ = stream;
    ++turn_;
    if (stream > 0) in_flight_.insert(stream);
}

void Arena::begin_step() {
    if (!in_flight_.empty()) failure("Arena::begin_step: stream ", *in_flight_.begin(), " was not joined ---> join(backend) ends a step");
    for (Block* block : waiting_) pools_[block->stream][block->bytes].push_back(block);
    waiting_.clear();
    for (auto& [stream, pool] : pools_)
        for (auto& [bytes, blocks] : pool)
            std::sort(blocks.begin(), blocks.end(), [](const Block* a, const Block* b) { return a->memory < b->memory; });
}

void Arena::begin_capture() {
    if (capturing_) failure("Arena::begin_capture: a capture is under way");
    capturing_ = true;
}

std::vector<BlockRef> Arena::end_capture() {
    const auto drop_captured = [](std::vector<Block*>& blocks) {
        blocks.erase(std::remove_if(blocks.begin(), blocks.end(), [](const Block* b) { return b->captured; }), blocks.end());
    };
    for (auto& [stream, pool] : pools_)
        for (auto& [bytes, blocks] : pool) drop_captured(blocks);
    drop_captured(waiting_);
    std::vector<BlockRef> held;
    for (Block* block : captured_) block->captured = false, held.emplace_back(block);
    captured_.clear();
    capturing_ = false;
    return held;
}

}  // namespace distill
