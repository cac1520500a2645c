#include "gpu_compute_capability.h"

#include <sstream>
#include <vector>

#include "base_error.h"
#include "base_texts.h"

namespace distill {
namespace {

std::string dotted(int capability) { return text(capability / 10, '.', capability % 10); }

}  // namespace

void require_compute_capability(const std::string& gpu, int capability, const std::string& architectures) {
    std::istringstream words(architectures);
    std::string suffix;
    std::vector<std::string> compiled_for;
    int architecture = 0;
    while (words >> architecture) {
        suffix.clear();
        if (words.peek() != ' ') words >> suffix;
        const bool same_major = architecture / 10 == capability / 10, from_minor_on = architecture <= capability;
        if (suffix == "a" ? architecture == capability : same_major && from_minor_on) return;
        compiled_for.push_back(dotted(architecture) + suffix);
    }
    if (suffix.empty() && architecture <= capability) return;  // the last one's PTX
    input_error("--device cuda: ", gpu, " has compute capability ", dotted(capability), ", and the kernels of this build are for ",
                joined(compiled_for), suffix.empty() ? " and later" : "", ": build it with `make GPU_ARCHS=", capability,
                "`, or use --device cpu");
}

}  // namespace distill
