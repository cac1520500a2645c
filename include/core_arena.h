// core_arena.h: recycles device memory, so that a training step allocates nothing after the first and sees the same addresses every time.
// defines: Block, BlockRef, Arena
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace distill {

class Arena;

/// A piece of memory. Blocks live as long as their arena; `references` counts the tensors that hold one (not atomic: all of them
/// belong to the one thread that works with the arena).
struct Block {
    Arena* arena = nullptr;
    void* memory = nullptr;
    size_t bytes = 0;  ///< capacity, a size class
    int references = 0;
    int stream = 0;         ///< whose pool it belongs to, for life
    uint64_t turn = 0;      ///< of the arena when it was handed out last
    bool captured = false;  ///< handed out during the capture under way
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
///
/// The host hands memory out long before the device is done with it. On one stream that is safe: the next owner's work is queued
/// behind the last one's. Between streams it is not, so each stream has a pool of its own, and a block that comes back is handed out
/// again at once only if nobody but the current stream can still be at work on it (see settled()); else it waits for begin_step().
class Arena {
  public:
    virtual ~Arena() = default;
    Block* obtain(size_t bytes);
    void give_back(Block* block);
    /// Releases the blocks that waited, and puts the free lists in one order, whatever the order was in which blocks came back.
    /// All side streams must have been joined.
    void begin_step();

    /// From here on work goes to this stream; stream 0 is where side streams start from and end.
    void use_stream(int stream);
    /// Stream 0 has waited for every side stream.
    void joined() { in_flight_.clear(); }
    /// The current stream got this block itself, and either in its present turn or while no other side stream is at work: what it
    /// queues next is behind all that was done with the block. (A side stream that becomes current has waited for stream 0.)
    bool settled(const Block* block) const;

    /// What is handed out between the two is recycled among itself and then stays with who asked: nobody else gets it before all
    /// these references are gone. Blocks that were free before may be among it.
    void begin_capture();
    std::vector<BlockRef> end_capture();

    size_t system_allocations() const { return blocks_.size(); }  ///< how often memory was taken from the system so far
    size_t system_bytes() const { return system_bytes_; }
    uint64_t requested_bytes() const { return requested_bytes_; }  ///< of all tensors made so far: the benchmark's count of traffic
    class Backend* owner = nullptr;                                ///< for Tensor::backend()

  protected:
    virtual void* system_allocate(size_t bytes) = 0;  ///< OutOfMemory when there is no more
    std::vector<std::unique_ptr<Block>> blocks_;      ///< derived destructors give their memory back

  private:
    using Pool = std::map<size_t, std::vector<Block*>>;  ///< free blocks by size class
    Block* take_free(size_t wanted);
    std::map<int, Pool> pools_;    ///< by stream
    std::vector<Block*> waiting_;  ///< came back while not settled
    std::vector<Block*> captured_;
    bool capturing_ = false;
    int stream_ = 0;
    uint64_t turn_ = 0;        ///< counts changes of the current stream
    std::set<int> in_flight_;  ///< side streams used since they were joined last
    size_t system_bytes_ = 0;
    uint64_t requested_bytes_ = 0;
};

}  // namespace distill
