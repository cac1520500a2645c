// PyTorch's files, both containers: also that a tensor is as its shape says and holds nothing but weights.
#include <cmath>

#include "../torch_bytes.h"
#include "base_weight_files.h"
#include "fuzz.h"

namespace distill::fuzz {
namespace {

namespace tb = torch_bytes;

/// A tensor of each type, with strides, a wrapped one, and what stands beside a state dict.
std::string checkpoint() {
    std::vector<std::pair<std::string, std::string>> tensors;
    for (const StoredType& type : stored_types)
        tensors.emplace_back(std::string("module.") + type.name, tb::tensor(tb::storage(type.storage, type.name, 4), {2, 2}, {1, 2}));
    tensors.emplace_back("part", tb::tensor(tb::storage("FloatStorage", "F32", 4), {2}, {2}, 1));
    const std::string part = tensors.back().second;
    tensors.emplace_back("parameter", tb::global("torch._utils", "_rebuild_parameter") + tb::tuple({part, "\x88", "]"}) + "R");
    const std::string options = tb::global("argparse", "Namespace") + ")\x81" + tb::dict({{"lr", tb::whole(1)}}) + "b";
    const std::string rate =
        tb::global("numpy", "dtype") + tb::tuple({tb::text("f8"), "\x89", "\x88"}) + "R" + tb::tuple({"K\3", "C\1<"}) + "b";
    return tb::dict({{"opt", options},
                     {"rate", rate},
                     {"epoch", tb::whole(3)},
                     {"best", "G" + std::string(8, '@')},
                     {"note", "N"},
                     {"state_dict", tb::dict(tensors)}});
}

tb::Storages storages() {
    tb::Storages all;
    for (const StoredType& type : stored_types) all.push_back({type.name, std::string(4 * type.bytes, '\1'), type.bytes});
    return all;
}

}  // namespace

std::vector<std::string> seeds() {
    const std::map<std::string, HostTensor> plain{{"fc.weight", {{1, 2}, {1, 2}}}, {"bn1.running_var", {{2}, {0.5f, 1e-9f}}}};
    return {tb::in_zip(checkpoint(), storages()), tb::in_zip(checkpoint(), storages(), {true, false}), tb::in_row(checkpoint(), storages()),
            tb::in_zip(tb::state_dict(plain), tb::storages_of(plain)), tb::in_row(tb::state_dict(plain), tb::storages_of(plain))};
}

void parse(const std::string& bytes) {
    size_t held = 0;
    for (const auto& [name, tensor] : read_weights(file_of(bytes)).tensors) {
        size_t elements = 1;
        for (const int64_t size : tensor.shape) elements *= static_cast<size_t>(size);
        require(elements == tensor.data.size(), "a tensor has as many values as its shape says");
        for (const float v : tensor.data) require(std::isfinite(v), "a weight is finite");
        held += elements;
    }
    require(held <= 2 * bytes.size(), "no more is made of a file than its bytes allow");
}

}  // namespace distill::fuzz
