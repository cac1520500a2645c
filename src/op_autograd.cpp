#include "op_autograd.h"

#include <mutex>

#include "base_error.h"
#include "core_backend.h"
#include "launch_kernels.h"

namespace distill {
namespace {

thread_local Tape* current_tape = nullptr;

/// Nodes given back by Vars, ready for the next step.
struct NodePool {
    std::vector<std::unique_ptr<Node>> all;
    std::vector<Node*> free;
};

/// A thread that ends leaves its pool to the next one. Pools are never destroyed: they outlive every static Var.
struct IdlePools {
    std::mutex mutex;
    std::vector<NodePool*> pools;
};
IdlePools& idle_pools() {
    static auto* idle = new IdlePools;
    return *idle;
}
NodePool* take_pool() {
    IdlePools& idle = idle_pools();
    const std::lock_guard<std::mutex> lock(idle.mutex);
    if (idle.pools.empty()) return new NodePool;
    NodePool* pool = idle.pools.back();
    idle.pools.pop_back();
    return pool;
}
struct ReturnAtExit {
    NodePool* pool;
    ~ReturnAtExit() {
        IdlePools& idle = idle_pools();
        const std::lock_guard<std::mutex> lock(idle.mutex);
        idle.pools.push_back(pool);
    }
};
NodePool& node_pool() {
    static thread_local NodePool* pool = nullptr;  // stays valid while the thread's other objects are destroyed
    if (!pool) {
        pool = take_pool();
        static thread_local const ReturnAtExit at_exit{pool};
    }
    return *pool;
}

/// Before the current stream touches a gradient: if another side stream wrote it, wait. Stream 0 is in order with each by itself.
void await_gradient(const Node& node, Backend& backend) {
    const int here = backend.current_stream(), there = node.gradient_stream;
    if (here != there && here != 0 && there != 0) backend.wait(there);
}

void set_gradient(Node& node, Tensor gradient) {
    node.gradient_stream = gradient.backend().current_stream();
    node.gradient = std::move(gradient);
    node.has_gradient = true;
}

/// node.gradient += dy, without touching memory that somebody else sees too.
void add_gradient(Node& node, const Tensor& dy) {
    await_gradient(node, dy.backend());
    node.gradient_stream = dy.backend().current_stream();
    if (node.gradient_home.defined() || node.gradient.unique()) {
        add_tensors(node.gradient, dy, node.gradient);
    } else {
        Tensor sum = Tensor::like(dy);
        add_tensors(node.gradient, dy, sum);
        node.gradient = std::move(sum);
    }
}

}  // namespace

Var::Var(Tensor value, bool needs_gradient) {
    NodePool& pool = node_pool();
    if (pool.free.empty()) {
        pool.all.push_back(std::make_unique<Node>());
        pool.free.push_back(pool.all.back().get());
    }
    node_ = pool.free.back();
    pool.free.pop_back();
    node_->value = std::move(value);
    node_->needs_gradient = needs_gradient;
    retain();
}

Var::~Var() {
    if (!node_ || --node_->references > 0) return;
    *node_ = Node{};
    node_pool().free.push_back(node_);
}

Tape* Tape::current() { return current_tape; }

Recording::Recording(Tape* tape) : before_(current_tape) { current_tape = tape; }
Recording::~Recording() { current_tape = before_; }

Tape::Step& Tape::add_step(const Var& result) {
    if (used_ == steps_.size()) steps_.push_back(std::make_unique<Step>());
    Step& step = *steps_[used_++];
    step.result = result;
    step.stream = result.backend().current_stream();
    return step;
}

void Tape::release(Step& step) {
    step.destroy(step.capture);
    step.result = Var();
}

void Tape::clear() {
    while (used_ > 0) release(*steps_[--used_]);
}

void Tape::backward(const Var& loss, bool keep) {
    if (loss.shape().size() != 1) failure("Tape::backward: the loss has shape ", to_string(loss.shape()), ", expected one element");
    const NoGrad no_grad;
    Backend& backend = loss.backend();
    backend.join();
    if (loss.needs_gradient()) {
        set_gradient(loss.node(), Tensor(backend, loss.shape()));
        fill(loss.node().gradient, 1.0f);
    }
    for (size_t i = used_; i-- > 0;) {
        Step& step = *steps_[i];
        Node& result = step.result.node();
        if (result.has_gradient) {
            if (step.stream != backend.current_stream()) step.stream == 0 ? backend.join() : backend.fork(step.stream);
            await_gradient(result, backend);
            step.run(step.capture);
            result.gradient = Tensor();
            result.has_gradient = false;
        }
        if (!keep) used_ = i, release(step);
    }
    backend.join();
}

GradTarget::GradTarget(const Var& input, const Tensor& reuse) : GradTarget(input, reuse, false) {}

GradTarget::GradTarget(const Var& input, const Tensor& reuse, bool can_add) {
    if (!input.defined() || !input.needs_gradient()) return;
    input_ = input;
    Node& node = input.node();
    if (node.has_gradient) {
        adds_ = can_add && node.gradient.unique();
        add_ = !adds_;
        into_ = adds_ ? node.gradient : Tensor::like(input.value());
        if (adds_) {
            await_gradient(node, input.backend());
            node.gradient_stream = input.backend().current_stream();
        }
        return;
    }
    if (node.gradient_home.defined())
        into_ = node.gradient_home;
    else if (reuse.defined() && reuse.unique() && reuse.type() == input.type())
        into_ = reuse.reshaped(input.shape());
    else
        into_ = Tensor::like(input.value());
    set_gradient(node, into_);
}

GradTarget::~GradTarget() noexcept(false) {
    if (add_) add_gradient(input_.node(), into_);
}

void give_gradient(const Var& input, const Tensor& dy) {
    if (!input.defined() || !input.needs_gradient()) return;
    Node& node = input.node();
    if (node.has_gradient) {
        add_gradient(node, dy);
    } else if (node.gradient_home.defined()) {
        set_gradient(node, node.gradient_home);
        node.gradient.copy_from(dy);
    } else {
        set_gradient(node, dy.reshaped(input.shape()));
    }
}

Tensor take_gradient(const Var& result) {
    Tensor dy = std::move(result.node().gradient);
    result.node().gradient = Tensor();
    return dy;
}

}  // namespace distill
