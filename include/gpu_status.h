// gpu_status.h: one check for the status codes of every CUDA library, for g++ and nvcc alike.
// defines: error_words, DISTILL_CUDA_CHECK
#pragma once
#include <cuda_runtime_api.h>

#include "base_error.h"

namespace distill {

/// The library's words for a status, null for success. A library joins the check with one such overload, in namespace distill,
/// in the file that calls it (cuBLAS's header, for one, is no burden for every kernel to carry).
inline const char* error_words(cudaError_t status) { return status == cudaSuccess ? nullptr : cudaGetErrorString(status); }

}  // namespace distill

/// Every CUDA library call goes through here. A failed one throws: file and line, the expression, the library's words.
#define DISTILL_CUDA_CHECK(expression)                                                            \
    do {                                                                                          \
        if (const char* distill_words_ = ::distill::error_words(expression))                      \
            ::distill::failure(__FILE__, ":", __LINE__, ": ", #expression, ": ", distill_words_); \
    } while (0)
