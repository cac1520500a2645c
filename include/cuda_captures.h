// cuda_captures.h: what must not happen while any thread captures a CUDA graph.
// defines: captures
#pragma once
#include <shared_mutex>

namespace distill {

/// Held shared by who captures; alone by who makes or ends a backend, or measures plans: cublasDestroy, cudnnDestroy and cudaFree wait for
/// the whole device, which spoils what any thread captures meanwhile (a seed of --runs that ends beside one that begins).
inline std::shared_mutex& captures() {
    static std::shared_mutex all;
    return all;
}

}  // namespace distill
