// op_trace.h: which operations a forward pass was made of, for who writes the network down elsewhere.
// defines: TracedOperation, Trace, traced
#pragma once
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "op_autograd.h"

namespace distill {

/// One call of a function of ops.h.
struct TracedOperation {
    std::string name;  ///< the function's
    Var result;
    std::vector<Var> maps;  ///< its inputs that are there
    std::vector<Tensor> weights;
    std::map<std::string, double> options;
};

/// While alive, operations of this thread note themselves here, those that a network's evaluation is made of (ops.h says which functions these
/// are: each ends in traced()). What is computed does not change. One at a time.
class Trace {
  public:
    Trace();
    ~Trace();
    Trace(const Trace&) = delete;
    Trace& operator=(const Trace&) = delete;
    static Trace* current();  ///< of this thread; null: none
    void add(TracedOperation operation) { operations_.push_back(std::move(operation)); }
    const std::vector<TracedOperation>& operations() const { return operations_; }

  private:
    std::vector<TracedOperation> operations_;
};

/// Returns `result`, of the operation `name`, and notes it where somebody asks; a map may be undefined, a weight null.
Var traced(const char* name, Var result, std::initializer_list<const Var*> maps, std::initializer_list<const Tensor*> weights = {},
           std::initializer_list<std::pair<const char*, double>> options = {});

}  // namespace distill
