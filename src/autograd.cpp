#include "autograd.h"

#include "error.h"
#include "kernels.h"

namespace distill {
namespace {

thread_local Tape* current_tape = nullptr;

/// Nodes given back by Vars, ready for the next step.
struct NodePool {
    std::vector<std::unique_ptr<Node>> all;
    std::vector<Node*> free;
};
NodePool& node_pool() {
    static thread_local NodePool* pool = new NodePool;  // outlives every static Var of the thread
    return *pool;
}

/// node.gradient += dy, without touching memory that somebody else sees too.
void add_gradient(Node& node, const Tensor& dy) {
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

void Tape::release(Step& step) {
    step.destroy(step.capture);
    step.result = Var();
}

void Tape::clear() {
    while (used_ > 0) release(*steps_[--used_]);
}

void Tape::backward(const Var& loss, bool keep) {
    if (loss.shape().size() != 1) failure("Tape::backward: the loss has shape ", to_string(loss.shape()), ", expected one element");
    const Recording pause(nullptr);
    if (loss.needs_gradient()) {
        loss.node().gradient = Tensor(loss.backend(), loss.shape());
        fill(loss.node().gradient, 1.0f);
        loss.node().has_gradient = true;
    }
    for (size_t i = used_; i-- > 0;) {
        Step& step = *steps_[i];
        Node& result = step.result.node();
        if (result.has_gradient) {
            step.run(step.capture);
            result.gradient = Tensor();
            result.has_gradient = false;
        }
        if (!keep) used_ = i, release(step);
    }
}

GradTarget::GradTarget(const Var& input, const Tensor& reuse) {
    if (!input.defined() || !input.needs_gradient()) return;
    input_ = input;
    Node& node = input.node();
    if (node.has_gradient) {
        into_ = Tensor::like(input.value());
        add_ = true;
        return;
    }
    if (node.gradient_home.defined())
        into_ = node.gradient_home;
    else if (reuse.defined() && reuse.unique() && reuse.type() == input.type())
        into_ = reuse.reshaped(input.shape());
    else
        into_ = Tensor::like(input.value());
    node.gradient = into_;
    node.has_gradient = true;
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
        node.gradient = node.gradient_home;
        node.gradient.copy_from(dy);
        node.has_gradient = true;
    } else {
        node.gradient = dy.reshaped(input.shape());
        node.has_gradient = true;
    }
}

Tensor take_gradient(const Var& result) {
    Tensor dy = std::move(result.node().gradient);
    result.node().gradient = Tensor();
    return dy;
}

}  // namespace distill
