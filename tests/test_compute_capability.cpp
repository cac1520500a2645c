// Which GPUs a build runs on: by the numbers alone, so on any machine.
#include "gpu_compute_capability.h"

#include "base_error.h"
#include "testing.h"

using namespace distill;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// What is said of a GPU; empty if it is taken.
std::string refusal(int capability, const std::string& architectures) {
    try {
        require_compute_capability("Some GPU", capability, architectures);
    } catch (const InputError& e) {
        return e.what();
    }
    return {};
}

}  // namespace

TEST_CASE("compute capability: a GPU below those compiled for is refused, with what to build") {
    CHECK(refusal(75, "80 90") ==
          "--device cuda: Some GPU has compute capability 7.5, and the kernels of this build are for 8.0, 9.0 and later: "
          "build it with `make GPU_ARCHS=75`, or use --device cpu");
    for (const char* part : {"compute capability 7.0", "are for 7.5 and later", "GPU_ARCHS=70"})
        CHECK_MESSAGE(refusal(70, "75").find(part) != std::string::npos, part);
}

TEST_CASE("compute capability: machine code runs within its major version, PTX on what is newer") {
    for (const int capability : {80, 86, 89, 90, 100, 103, 120, 121}) CHECK_MESSAGE(refusal(capability, "80 90").empty(), capability);
    CHECK(refusal(75, "75").empty());
    CHECK(refusal(86, "75").empty());  // by PTX
    CHECK(!refusal(86, "90").empty());
    CHECK(!refusal(80, "86 90").empty());
    CHECK(!refusal(89, "90 120").empty());
    CHECK(refusal(90, "80 90a").empty());
    CHECK(!refusal(100, "80 90a").empty());  // neither that code nor its PTX runs elsewhere
    CHECK(refusal(89, "80 90a").empty());
    CHECK(refusal(103, "90 100f").empty());
    CHECK(!refusal(120, "90 100f").empty());
}

TEST_SUITE_END();
