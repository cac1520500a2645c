// op_autograd.h: a tape. Operations return Vars; while a Recording is alive they also note how to go back.
// defines: Node, Var, Tape, Recording, NoGrad, result_of, record, GradTarget, give_gradient, take_gradient
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "core_tensor.h"

namespace distill {

/// A value in the graph. Its gradient is of its type. Nodes are recycled (a step allocates none) and counted by the Vars that hold them.
struct Node {
    Tensor value;
    Tensor gradient;       ///< valid if has_gradient
    Tensor gradient_home;  ///< a parameter's place in its flat gradient buffer; undefined for intermediate values
    Tensor rounded;        ///< a float parameter as bfloat16, where the backend's convolutions take that; else undefined
    bool needs_gradient = false;
    bool has_gradient = false;
    int gradient_stream = 0;  ///< the stream that wrote it last
    int references = 0;
};

/// Counted handle to a Node: what operations take and return.
class Var {
  public:
    Var() = default;
    explicit Var(Tensor value, bool needs_gradient = false);
    Var(const Var& other) : node_(other.node_) { retain(); }
    Var(Var&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    Var& operator=(Var other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~Var();

    bool defined() const { return node_ != nullptr; }
    const Tensor& value() const { return node_->value; }
    const Shape& shape() const { return node_->value.shape(); }
    DType type() const { return node_->value.type(); }
    float* data() const { return node_->value.data(); }
    template <class T>
    T* as() const {
        return node_->value.as<T>();
    }
    Backend& backend() const { return node_->value.backend(); }
    bool needs_gradient() const { return node_->needs_gradient; }
    Node& node() const { return *node_; }
    /// The same value, cut off from the graph.
    Var detached() const { return Var(value()); }

  private:
    void retain() {
        if (node_) ++node_->references;
    }
    Node* node_ = nullptr;
};

/// The record of one step: how each result hands its gradient to its inputs. One tape serves all steps of a training and keeps its
/// memory. A result nobody asked a gradient of is skipped in the backward pass.
///
/// Each operation goes back on the stream that it was recorded on. A side stream first waits for what stream 0 was given; stream 0
/// waits for all side streams used since. Side streams wait for each other only where they meet in one value's gradient: who adds to
/// it, or takes it, waits for who wrote it last. backward() begins and ends joined, on stream 0.
class Tape {
  public:
    Tape() = default;
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;
    ~Tape() { clear(); }

    /// Sends d(loss)/d(loss) = 1 back. Parameter gradients land in their homes (Parameters::begin_backward empties them first).
    /// keep: the record stays, so that a second loss of the same forward pass can be sent back on its own; otherwise each saved
    /// tensor is released as soon as it has served.
    void backward(const Var& loss, bool keep = false);
    void clear();
    size_t steps() const { return used_; }

    /// The tape that operations of this thread write to; null: nothing is recorded.
    static Tape* current();

    /// `back()` is called once `result` has a gradient: it reads result's node and fills GradTargets.
    template <class Back>
    void record(const Var& result, Back back) {
        static_assert(sizeof(Back) <= Step::capacity, "capture Vars and numbers; put larger things behind a Tensor");
        static_assert(alignof(Back) <= alignof(std::max_align_t), "over-aligned capture");
        Step& step = add_step(result);
        new (step.capture) Back(std::move(back));
        step.run = [](void* capture) { (*static_cast<Back*>(capture))(); };
        step.destroy = [](void* capture) { static_cast<Back*>(capture)->~Back(); };
    }

  private:
    struct Step {
        static constexpr size_t capacity = 320;
        Var result;
        int stream = 0;
        void (*run)(void*) = nullptr;
        void (*destroy)(void*) = nullptr;
        alignas(std::max_align_t) unsigned char capture[capacity];
    };
    Step& add_step(const Var& result);
    void release(Step& step);
    std::vector<std::unique_ptr<Step>> steps_;  ///< the first used_ are in use
    size_t used_ = 0;
};

/// While alive, operations of this thread are recorded on `tape` (null: on none). Scopes nest.
class Recording {
  public:
    explicit Recording(Tape* tape);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

  private:
    Tape* before_;
};

/// While alive, operations of this thread are recorded on no tape.
struct NoGrad : Recording {
    NoGrad() : Recording(nullptr) {}
};

/// A new result of an operation on `inputs`: it needs a gradient if a tape is recording and one of them does.
template <class... Inputs>
Var result_of(Tensor value, const Inputs&... inputs) {
    return Var(std::move(value), Tape::current() && ((inputs.defined() && inputs.needs_gradient()) || ...));
}

/// Where an operation's backward writes d(loss)/d(input). The operation always overwrites data(); if the input had a gradient
/// already (a second consumer), the two are added (in float) when the target goes out of scope.
class GradTarget {
  public:
    explicit GradTarget(const Var& input) : GradTarget(input, Tensor()) {}
    /// `reuse`: a tensor of the input's size that the backward may overwrite in place; used if the caller alone holds it.
    GradTarget(const Var& input, const Tensor& reuse);
    /// can_add: the operation can add to what is there. If the input had a gradient that nobody else sees, that is tensor(), and adds()
    /// says to add to it.
    GradTarget(const Var& input, bool can_add) : GradTarget(input, Tensor(), can_add) {}
    ~GradTarget() noexcept(false);
    GradTarget(const GradTarget&) = delete;
    GradTarget& operator=(const GradTarget&) = delete;
    bool wanted() const { return into_.defined(); }
    float* data() const { return as<float>(); }
    template <class T>
    T* as() const {
        return wanted() ? into_.as<T>() : nullptr;
    }
    const Tensor& tensor() const { return into_; }
    bool adds() const { return adds_; }

  private:
    GradTarget(const Var& input, const Tensor& reuse, bool can_add);
    Var input_;
    Tensor into_;
    bool add_ = false, adds_ = false;  ///< the target adds what was written at its end; the operation adds
};

/// Hands `dy` on unchanged as (part of) the input's gradient: no copy if it is the first.
void give_gradient(const Var& input, const Tensor& dy);

/// Moves the result's gradient out of its node: the caller may hold the last reference and reuse its memory.
Tensor take_gradient(const Var& result);

template <class Back>
void record(const Var& result, Back back) {
    if (result.needs_gradient()) Tape::current()->record(result, std::move(back));
}

}  // namespace distill
