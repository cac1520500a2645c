// arena.h: recycles device memory, so that a training step allocates nothing after the first and sees the same addresses every time.
// defines: Block, BlockRef, Arena
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace distill {

class Arena;

/// A piece of memory. Blocks live as long as their arena; `references` counts the tensors that hold one.
struct Block {
    Arena* arena = nullptr;
    void* memory = nullptr;
    size_t bytes = 0;  ///< capacity, a size class
    int references = 0;
};

/// Counted reference to a block; the last one returns it to the arena's free list.
class BlockRef {
  public:
    BlockRef() = default;
    explicit BlockRef(Block* block) : block_(block) { retain(); }
    BlockRef(const BlockRef& other) : block_(other.block_) { retain(); }
    BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    BlockRef& operator=(BlockRef other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~BlockRef();
    Block* get() const { return block_; }

  private:
    void retain() {
        if (block_) ++block_->references;
    }
    Block* block_ = nullptr;
};

/// Free lists by size class (eight classes an octave, so at most 12.5 % is lost). Last in, first out: the block given is the one
/// most likely still in a cache. A step that makes the requests of the one before takes nothing from the system; after begin_step()
/// it also gets the same addresses.
class Arena {
  public:
    virtual ~Arena() = default;
    Block* obtain(size_t bytes);
    void give_back(Block* block);
    /// Puts the free lists in one order, whatever the order was in which blocks came back.
    void begin_step();

    size_t system_allocations() const { return blocks_.size(); }  ///< how often memory was taken from the system so far
    size_t system_bytes() const { return system_bytes_; }
    uint64_t requested_bytes() const { return requested_bytes_; }  ///< of all tensors made so far: the benchmark's count of traffic
    class Backend* owner = nullptr;  ///< for Tensor::backend()

  protected:
    virtual void* system_allocate(size_t bytes) = 0;  ///< throws when there is no more
    std::vector<std::unique_ptr<Block>> blocks_;       ///< derived destructors give their memory back

  private:
    std::map<size_t, std::vector<Block*>> free_;
    size_t system_bytes_ = 0;
    uint64_t requested_bytes_ = 0;
};

}  // namespace distill
