#include "op_trace.h"

namespace distill {
namespace {

thread_local Trace* current_trace = nullptr;

}  // namespace

Trace::Trace() { current_trace = this; }
Trace::~Trace() { current_trace = nullptr; }
Trace* Trace::current() { return current_trace; }

Var traced(const char* name, Var result, std::initializer_list<const Var*> maps, std::initializer_list<const Tensor*> weights,
           std::initializer_list<std::pair<const char*, double>> options) {
    if (!current_trace) return result;
    TracedOperation operation{name, result, {}, {}, {}};
    for (const Var* map : maps)
        if (map->defined()) operation.maps.push_back(*map);
    for (const Tensor* weight : weights)
        if (weight) operation.weights.push_back(*weight);
    for (const auto& [option, value] : options) operation.options[option] = value;
    current_trace->add(std::move(operation));
    return result;
}

}  // namespace distill
