// Weight files as `weights export` takes them: arbitrary metadata, names and shapes end in a model, which its project's checker has passed, or in a
// line.
#include "base_error.h"
#include "base_safetensors.h"
#include "cmd_weights.h"
#include "device.h"
#include "fuzz.h"
#include "net_onnx.h"
#include "net_table.h"

namespace distill::fuzz {
namespace {

std::string student(const std::string& network, int classes, const std::map<std::string, std::string>& more = {}) {
    const auto backend = make_backend("cpu", {1});
    Parameters parameters(*backend, false);
    make_network(network, classes, parameters);
    parameters.allocate(0);
    WeightFile file{parameters.to_file(), more};
    const std::pair<const char*, std::string> own[] = {
        {"network", network}, {"classes", std::to_string(classes)}, {"dataset", "s"}, {"normalization", "none"}};
    for (const auto& [key, value] : own) file.metadata.emplace(key, value);
    write_safetensors(folder() / "seed", file);
    return read_file(folder() / "seed");
}

}  // namespace

std::vector<std::string> seeds() {
    return {student("resnet8", 1), student("wrn-10-1", 2, {{"class_names", "[\"a\",\"b\"]"}}),
            student("resnet8a", 1, {{"normalization", "1,2,3,4,5,6"}}), student("resnet8", 1, {{"network", "resnet20"}})};
}

void parse(const std::string& bytes) {
    const fs::path model = folder() / "model.onnx";
    fs::remove(model);
    try {
        export_model(file_of(bytes), model, "", 8);
    } catch (const InputError&) {
        require(!fs::exists(model), "what is refused leaves no model");
        throw;
    }
    require(read_file(model).rfind(onnx_beginning, 0) == 0, "a model begins as those of this program do");
}

}  // namespace distill::fuzz
