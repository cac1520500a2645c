// gpu_compute_capability.h: which GPUs run what was compiled for a list of architectures.
// defines: require_compute_capability
#pragma once
#include <string>

namespace distill {

/// InputError unless a GPU of this compute capability (75 is 7.5) runs kernels compiled for `architectures`, as make's GPU_ARCHS has them
/// ("80 90"): machine code runs on its major version from its minor version on, one with the suffix a on that very GPU alone; the last
/// one's PTX is compiled for newer GPUs when the program starts. Else the first kernel would fail, with words that help nobody.
void require_compute_capability(const std::string& gpu, int capability, const std::string& architectures);

}  // namespace distill
