// gradcheck.h: operations against numeric gradients, naive loops and the other backend.
// defines: cpu, exact_cpu, bf16_cpu_or_skip, integers, HostTensor, uniform_input, off_zero_input, distinct_input, without_gradient, as_map,
//          Inputs, Operation, OpCase, upload, gated, run_backward, GradientError, worst_gradient_error, check_gradients, check_values,
//          compare_backends, rounded, check_rounding, check_threads_do_not_matter
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core_backend.h"
#include "op_autograd.h"
#include "testing.h"

namespace distill::testing {

/// The CPU backend that all tests of operations share.
Backend& cpu();
/// The same with every product as it is written (--winograd off): where a fixture's later steps hang on the rounding of a value near zero,
/// which a ReLU lets through or not.
Backend& exact_cpu();

/// The CPU computing in bfloat16, or null after the running case was recorded as skipped.
Backend* bf16_cpu_or_skip();

/// Whole numbers on the device; without a shape one a sample.
inline Tensor integers(Backend& backend, Shape shape, const std::vector<int32_t>& values) {
    Tensor t = Tensor::integers(backend, shape);
    t.upload(values.data());
    return t;
}
inline Tensor integers(Backend& backend, const std::vector<int32_t>& values) {
    return integers(backend, {static_cast<int64_t>(values.size()), 1, 1, 1}, values);
}

/// An input as a test writes it down.
struct HostTensor {
    Shape shape;
    std::vector<float> values;
    bool wanted = true;  ///< a gradient is asked for
    bool map = false;    ///< check_rounding hands it over as bfloat16
};
// Numbers depend on the name alone.
HostTensor uniform_input(const std::string& name, Shape shape, float low = -1, float high = 1);
HostTensor off_zero_input(const std::string& name, Shape shape);  ///< 0.2 <= |v| <= 1: a kink at 0 is out of a step's reach
HostTensor distinct_input(const std::string& name, Shape shape);  ///< a shuffled grid on [-1, 1]: no two equal
HostTensor without_gradient(HostTensor input);
HostTensor as_map(HostTensor input);

using Inputs = std::vector<Var>;
using Operation = std::function<Var(const Inputs&)>;

/// One operation at one setting. `run` may be called often and must give the same each time.
struct OpCase {
    std::string name;
    std::vector<HostTensor> inputs;
    Operation run;
    double tolerance = 2e-3;  ///< of the gradients, relative to the largest of the tensor
};

Inputs upload(Backend& backend, const std::vector<HostTensor>& inputs, DType maps = DType::f32);

/// x·gate[..., channel] at each pixel; gate (N,H,W,G).
Var gated(const Var& x, const Var& gate, int64_t channel = 0);

/// Runs forward and back from the gradient `dy` of the result (its values on the host). Leaves must not hold gradients.
Var run_backward(const Operation& run, const Inputs& inputs, const std::vector<float>& dy);

struct GradientError {
    double worst = 0;   ///< |numeric − analytic| / largest |numeric| of the tensor; infinite for NaN and where a test would say nothing
    std::string where;  ///< input, index, numeric, analytic
};
/// Objective: the dot product of the result with a fixed random tensor, in double. Numeric: five-point central differences with
/// steps of 2 % of the input's largest value; at most 40 elements of an input are tried, all of its gradient must be finite.
/// An input that wants none must get none; a gradient that is zero everywhere counts as an error, since a missing one would pass.
GradientError worst_gradient_error(Backend& backend, const std::vector<HostTensor>& inputs, const Operation& run);

/// A doctest check of worst_gradient_error; `tests -s` prints the errors of those that pass, too.
void check_gradients(const OpCase& op, Backend& backend = cpu());
void check_gradients(const std::vector<OpCase>& ops);

/// |found − expected| <= tolerance·max |expected| for every element; NaN fails. An expected tensor of zeros is compared exactly.
void check_values(const std::string& what, const std::vector<float>& found, const std::vector<double>& expected, double tolerance = 1e-5);

/// Results and gradients on CUDA within 1e-4 of the CPU's, relative to the tensor's largest value. The running case is skipped where
/// there is no GPU, or where the GPU lacks the operation.
void compare_backends(const std::vector<OpCase>& ops);

/// Each value as bfloat16 has it.
std::vector<float> rounded(const std::vector<float>& values);

/// Results and gradients with maps as bfloat16 on `backend` beside the CPU's with floats, from the same inputs, rounded: they may be apart
/// by 2⁻⁸ of an element (storing it costs at most half of that) plus op.tolerance of the tensor's largest. A gradient must be of its
/// input's type. Skipped where the backend lacks the operation.
void check_rounding(const std::vector<OpCase>& ops, Backend& backend = cpu());

/// Results and gradients with one thread and with two: the same bits. Says something only of tensors above parallel_threshold.
void check_threads_do_not_matter(const std::vector<OpCase>& ops);

}  // namespace distill::testing
