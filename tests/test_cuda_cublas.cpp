// cuBLAS comes when a GPU is opened: on any machine that has the library, since loading needs no driver.
#ifdef DISTILL_CUDA
#include "cuda_cublas.h"

#include <cstdlib>

#include "base_files.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("cublas: loaded when it is used, not at each start of the program") {
    const TempFolder folder;
    const std::string program = program_beside().string();
    const std::string said = (folder / "said").string();
    CHECK(std::system(text("LD_DEBUG=files '", program, "' --version > '", said, "' 2>&1").c_str()) == 0);
    const std::string loaded = read_file(said);
    CHECK(loaded.find("libdnnl.so") != std::string::npos);  // loading is told
    CHECK(loaded.find("libcublas") == std::string::npos);
}

TEST_CASE("cublas: the library is of the release that was compiled with, and has all functions") {
    CHECK(error_words(CUBLAS_STATUS_SUCCESS) == nullptr);
    CHECK(std::string(error_words(CUBLAS_STATUS_NOT_INITIALIZED)) == "the library was not initialized");
    CHECK(cublas().create(nullptr) != CUBLAS_STATUS_SUCCESS);
    int version = 0;
    CHECK(cublas().get_version(nullptr, &version) == CUBLAS_STATUS_SUCCESS);
    CHECK(version / 10000 == CUBLAS_VER_MAJOR);
}

TEST_SUITE_END();
#endif
