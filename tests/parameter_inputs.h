// parameter_inputs.h: the weights of a module as inputs of a checked operation, so that gradients with respect to them are checked
// like any other.
// defines: gradients_of, trainable_names, bind_parameters
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "golden_formula.h"
#include "gradcheck.h"

namespace distill::testing {

/// The gradients of the last backward() by parameter name, laid out as a weight file is.
inline std::map<std::string, distill::HostTensor> gradients_of(const Parameters& p) {
    Tensor values = p.values();
    const std::vector<float> kept = values.to_host();
    values.copy_from(p.gradients());
    auto gradients = p.to_file();
    values.upload(kept.data());
    return gradients;
}

inline std::vector<std::string> trainable_names(const Parameters& p) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : p.to_file())
        if (name.find(".running_") == std::string::npos) names.push_back(name);
    return names;
}

/// Sets the parameters `names` to in[first], in[first + 1], … and, while a tape records, hands their gradients to those inputs. Call
/// it before the module runs; the tape keeps `p`.
inline void bind_parameters(const std::shared_ptr<Parameters>& kept, const std::vector<std::string>& names, const Inputs& in,
                            size_t first) {
    Parameters& p = *kept;
    REQUIRE(in.size() == first + names.size());
    WeightFile file;
    file.tensors = p.to_file();
    for (size_t k = 0; k < names.size(); ++k) file.tensors.at(names[k]).data = to_nchw(in[first + k].value());
    p.from_file(file, "the inputs");
    if (!Tape::current()) return;
    p.begin_backward();
    // The first step recorded is the last to go back. It runs because its result, which nothing else knows, has a gradient.
    Var last(Tensor::zeros(p.backend(), {}), true);
    last.node().gradient = last.value();
    last.node().has_gradient = true;
    Tape::current()->record(last, [kept, names, in, first] {
        const auto gradients = gradients_of(*kept);
        for (size_t k = 0; k < names.size(); ++k) {
            const Var& input = in[first + k];
            give_gradient(input, Tensor::from_host(kept->backend(), input.shape(), to_nhwc(gradients.at(names[k]).data, input.shape())));
        }
    });
}
/// The same where `p` outlives the tape.
inline void bind_parameters(Parameters& p, const std::vector<std::string>& names, const Inputs& in, size_t first) {
    bind_parameters(std::shared_ptr<Parameters>(std::shared_ptr<void>(), &p), names, in, first);
}

}  // namespace distill::testing
