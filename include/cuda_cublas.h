// cuda_cublas.h: cuBLAS, loaded when it is first used. Loading takes some 100 ms of a core (cuBLASLt fills its tables), which else every start of
// the program would take, on a GPU or not.
// defines: CublasFunctions, cublas, error_words, destroy_cublas, Cublas, create_cublas
#pragma once
#include <cublas_v2.h>

#include "cuda_owned.h"

namespace distill {

/// The functions used here, as cublas_v2.h declares them. (There some of the names are macros: cublasCreate is cublasCreate_v2.)
struct CublasFunctions {
    decltype(&::cublasCreate) create;
    decltype(&::cublasDestroy) destroy;
    decltype(&::cublasSetStream) set_stream;
    decltype(&::cublasSetWorkspace) set_workspace;
    decltype(&::cublasGetVersion) get_version;
    decltype(&::cublasGetStatusString) get_status_string;
    decltype(&::cublasGemmEx_64) gemm_ex;
    decltype(&::cublasGemmStridedBatchedEx_64) gemm_strided_batched_ex;
};

/// Loads the library of the release that the program was compiled with, at the first call; it stays loaded. Looks where the build found
/// it, and where the system looks. Throws InputError where it is not there.
const CublasFunctions& cublas();

inline const char* error_words(cublasStatus_t status) {
    return status == CUBLAS_STATUS_SUCCESS ? nullptr : cublas().get_status_string(status);
}

inline void destroy_cublas(cublasHandle_t handle) { cublas().destroy(handle); }
using Cublas = Owned<cublasHandle_t, destroy_cublas>;
Cublas create_cublas();

}  // namespace distill
