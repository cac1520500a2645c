#include "cuda_cublas.h"

#include <dlfcn.h>

#define DISTILL_TEXT_OF(name) #name
#define DISTILL_TEXT(name) DISTILL_TEXT_OF(name)  // of what a macro's name stands for

namespace distill {
namespace {

constexpr const char* library_name = "libcublas.so." DISTILL_TEXT(CUBLAS_VER_MAJOR);

CublasFunctions load() {
    void* library = ::dlopen(library_name, RTLD_LAZY | RTLD_LOCAL);
    if (!library)
        input_error("--device cuda: cuBLAS cannot be loaded: ", ::dlerror(), "; install the CUDA toolkit's ", library_name,
                    ", or name its folder in LD_LIBRARY_PATH");
    const auto find = [&](auto& function, const char* name) {
        void* found = ::dlsym(library, name);
        if (!found)
            input_error("--device cuda: ", library_name, " has no ", name, ": expected cuBLAS ", CUBLAS_VER_MAJOR, '.', CUBLAS_VER_MINOR,
                        " or later");
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
    };
    CublasFunctions all{};
    find(all.create, DISTILL_TEXT(cublasCreate));
    find(all.destroy, DISTILL_TEXT(cublasDestroy));
    find(all.set_stream, DISTILL_TEXT(cublasSetStream));
    find(all.set_workspace, DISTILL_TEXT(cublasSetWorkspace));
    find(all.get_version, DISTILL_TEXT(cublasGetVersion));
    find(all.get_status_string, DISTILL_TEXT(cublasGetStatusString));
    find(all.gemm_ex, DISTILL_TEXT(cublasGemmEx_64));
    find(all.gemm_strided_batched_ex, DISTILL_TEXT(cublasGemmStridedBatchedEx_64));
    return all;
}

}  // namespace

const CublasFunctions& cublas() {
    static const CublasFunctions all = load();
    return all;
}

Cublas create_cublas() {
    cublasHandle_t handle = nullptr;
    DISTILL_CUDA_CHECK(cublas().create(&handle));
    return Cublas(handle);
}

}  // namespace distill
