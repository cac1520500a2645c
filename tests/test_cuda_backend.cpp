// Choosing a device, and the GPU's half: memory, streams and matrix products against the CPU's. Without a GPU those cases skip,
// and what a user without one gets to read is tested instead.
#include <omp.h>

#include <cmath>
#include <string>
#include <vector>

#include "complaints.h"
#include "core_backend.h"
#include "core_tensor.h"
#include "device.h"
#include "gpu_or_skip.h"
#include "launch_kernels.h"
#include "ops.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_CASE("backend: cpu is the CPU, auto the GPU where there is one") {
    CHECK(make_backend("cpu")->device() == Device::cpu);
#ifdef DISTILL_CUDA
    CHECK(make_backend("auto")->device() == (cuda_device_count() > 0 ? Device::cuda : Device::cpu));
#else
    CHECK(make_backend("auto")->device() == Device::cpu);
#endif
}

TEST_CASE("backend: threads are OpenMP's, 0 leaves them alone") {
    const int before = omp_get_max_threads();
    make_backend("cpu", {before + 1});
    CHECK(omp_get_max_threads() == before + 1);
    make_backend("cpu", {0});
    CHECK(omp_get_max_threads() == before + 1);
    omp_set_num_threads(before);
    CHECK(says(complaint([] { make_backend("cpu", {-1}); }), {"--threads -1"}));
}

TEST_CASE("backend: an unknown device lists the valid ones") {
    for (const char* name : {"gpu", "", "CUDA"})
        CHECK(says(complaint([&] { make_backend(name); }), {std::string("--device ") + name + ":", "auto", "cpu", "cuda"}));
}

#ifndef DISTILL_CUDA

TEST_CASE("backend: cuda in a build without CUDA says so") {
    CHECK(says(complaint([] { make_backend("cuda"); }), {"built without CUDA", "--device cpu"}));
}

#else
#include "gpu_status.h"

namespace {

std::vector<float> ramp(int64_t size, float step) {  // values of both signs, in [-2, 2]
    std::vector<float> values(static_cast<size_t>(size));
    for (size_t i = 0; i < values.size(); ++i) values[i] = 2 * std::sin(step * static_cast<float>(i + 1));
    return values;
}

}  // namespace

TEST_CASE("cuda: a failed call throws its place, its text and the library's words") {
    DISTILL_CUDA_CHECK(cudaSuccess);
    std::string message;
    try {
        DISTILL_CUDA_CHECK(cudaErrorInvalidValue);
    } catch (const InputError&) {
        FAIL_CHECK("the input is not to blame");
    } catch (const std::runtime_error& e) {
        message = e.what();
    }
    CHECK(says(message, {"test_cuda_backend.cpp:", "cudaErrorInvalidValue: ", cudaGetErrorString(cudaErrorInvalidValue)}));
}

TEST_CASE("cuda: without a GPU the user is told so") {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess) return testing::skip("there is a CUDA device");
    CHECK(cuda_device_count() == 0);
    CHECK(complaint([] { make_backend("cuda"); }) ==
          std::string("--device cuda: no GPU here (") + cudaGetErrorString(status) + "); use --device cpu");
}

TEST_CASE("cuda: a GPU that is not there is named") {
    if (!gpu_or_skip()) return;
    DeviceOptions options;
    options.index = cuda_device_count();
    CHECK(says(complaint([&] { make_cuda_backend(options); }), {text("GPU ", options.index, " was asked for")}));
}

TEST_CASE("cuda: the description names the card and the versions") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    MESSAGE(gpu->description());
    CHECK(says(gpu->description(), {"compute capability", "MiB", "driver", "runtime", "cuBLAS", "cuDNN "}));
}

TEST_CASE("cuda: upload, copy, zero and download") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const std::vector<float> values = ramp(100'003, 0.7f);
    const Shape shape{1, 1, 1, 100'003};
    const Tensor a = Tensor::from_host(*gpu, shape, values);
    Tensor b(*gpu, shape);
    b.copy_from(a);
    Tensor(a).zero();  // shares a's memory, not b's
    CHECK(b.to_host() == values);
    CHECK(a.to_host() == std::vector<float>(values.size(), 0.0f));
    CHECK(b.view(5, {1, 1, 1, 1}).item() == values[5]);
}

TEST_CASE("cuda: the arena hands memory out again, and says how much is missing") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const float* before = Tensor(*gpu, {1, 1, 1, 1000}).data();
    const size_t allocations = gpu->arena().system_allocations();
    CHECK(Tensor(*gpu, {1, 1, 1, 1000}).data() == before);
    CHECK(gpu->arena().system_allocations() == allocations);

    std::string message;
    try {
        gpu->arena().obtain(size_t{1} << 50);
    } catch (const std::runtime_error& e) {
        message = e.what();
    }
    CHECK(says(message, {"out of GPU memory", "1125899906842624 bytes", "free of", "--batch"}));
    CHECK(cudaPeekAtLastError() == cudaSuccess);  // the next launch is not blamed
}

TEST_CASE("cuda: products agree with the CPU's, transposed or not, and repeat bit for bit") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const auto cpu = make_cpu_backend();
    for (int flags = 0; flags < 4; ++flags) {
        const GemmShape s{37, 29, 53, (flags & 1) != 0, (flags & 2) != 0};
        CAPTURE(s.transpose_a);
        CAPTURE(s.transpose_b);
        const auto product = [&](Backend& on) {
            const Tensor a = Tensor::from_host(on, {1, 1, 1, s.m * s.k}, ramp(s.m * s.k, 0.9f));
            const Tensor b = Tensor::from_host(on, {1, 1, 1, s.k * s.n}, ramp(s.k * s.n, 1.3f));
            const Tensor c = Tensor::from_host(on, {1, 1, 1, s.m * s.n}, ramp(s.m * s.n, 0.4f));
            on.gemm(s, a.data(), b.data(), c.data());
            return c.to_host();
        };
        const std::vector<float> expected = product(*cpu), found = product(*gpu);
        // A sum of k products of numbers up to 2, in another order: k roundings of at most k·4·2⁻²⁴ each, and far fewer in practice.
        CHECK(largest_difference(found, expected) <= static_cast<float>(s.k * s.k) * 4 * 0x1p-24f);
        CHECK(product(*gpu) == found);
        gpu->use_stream(1);
        gpu->wait(0);
        CHECK(product(*gpu) == found);
        gpu->use_stream(0);
        gpu->wait(1);
    }
}

TEST_CASE("cuda: products by the batch, of columns inside wider rows, agree with the CPU's") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    for (int flags = 0; flags < 4; ++flags) {
        GemmShape s{37, 29, 53, (flags & 1) != 0, (flags & 2) != 0};
        s.count = 5;
        s.row_a = s.row_b = 300, s.row_c = 150;
        s.step_a = 55, s.step_b = 0, s.step_c = 29;
        const auto product = [&](Backend& on) {
            const Tensor a = Tensor::from_host(on, {1, 1, 1, 53 * 300 + 300}, ramp(53 * 300 + 300, 0.9f));
            const Tensor b = Tensor::from_host(on, {1, 1, 1, 53 * 300}, ramp(53 * 300, 1.3f)), c = Tensor::zeros(on, {1, 1, 1, 37 * 150});
            on.gemm(s, a.data(), b.data(), c.data());
            return c.to_host();
        };
        const std::vector<float> expected = product(*make_cpu_backend()), found = product(*gpu);
        CHECK(largest_difference(found, expected) <= static_cast<float>(s.k * s.k) * 4 * 0x1p-24f);
    }
}

TEST_CASE("cuda: products in tf32 and bf16 agree with the CPU's as far as operands so rounded can") {
    const GemmShape s{64, 96, 128};
    const auto product = [&](Backend& on) {
        const Tensor a = Tensor::from_host(on, {1, 1, 1, s.m * s.k}, ramp(s.m * s.k, 0.9f));
        const Tensor b = Tensor::from_host(on, {1, 1, 1, s.k * s.n}, ramp(s.k * s.n, 1.3f)), c(on, {1, 1, 1, s.m * s.n});
        on.gemm(s, a.data(), b.data(), c.data());
        return c.to_host();
    };
    const std::vector<float> expected = product(*make_cpu_backend());
    for (const auto& [precision, step] : {std::pair{Precision::tf32, 0x1p-10f}, std::pair{Precision::bf16, 0x1p-8f}}) {
        DeviceOptions options;
        options.precision = precision;
        const auto gpu = gpu_or_skip(options);
        if (!gpu) return;
        const std::vector<float> found = product(*gpu);
        // Each of the k products, of numbers up to 2, is off by two roundings (or cuts) of its operands at most.
        CHECK(largest_difference(found, expected) <= static_cast<float>(s.k) * 4 * 2 * step);
        CHECK(product(*gpu) == found);
        CHECK(found != product(*make_cuda_backend()));  // it does round
    }
}

TEST_CASE("cuda: a stream that waits sees what the other one wrote") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const Shape shape{1, 1, 1, 1 << 22};
    const Tensor sum(*gpu, shape), one(*gpu, shape);
    Tensor result(*gpu, shape);
    void* const first = gpu->native_stream();
    fill(sum, 0);
    fill(one, 1);
    gpu->use_stream(1);
    CHECK(gpu->native_stream() != first);
    gpu->wait(0);
    for (int i = 0; i < 200; ++i) add_tensors(sum, one, sum);  // long enough to be overtaken by a stream that does not wait
    gpu->use_stream(0);
    CHECK(gpu->native_stream() == first);
    gpu->wait(0);  // for itself: nothing to do
    gpu->wait(1);
    result.copy_from(sum);
    CHECK(result.to_host() == std::vector<float>(static_cast<size_t>(shape.size()), 200.0f));
    gpu->use_stream(1);
    fill(result, 3);
    gpu->use_stream(0);
    gpu->synchronize();  // all streams
    CHECK(result.to_host() == std::vector<float>(static_cast<size_t>(shape.size()), 3.0f));
    CHECK_THROWS_WITH_AS(gpu->use_stream(-1), "Backend: stream -1; streams count from 0", std::runtime_error);
}

TEST_CASE("cuda: functors compute what they compute on the CPU") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    const auto cpu = make_cpu_backend();
    for (const int64_t size : {int64_t{1}, int64_t{257}, int64_t{1'000'001}}) {  // one thread, two blocks, more than one pass
        CAPTURE(size);
        const auto relu_of_sum = [&](Backend& on) {
            const Var a(Tensor::from_host(on, {1, 1, 1, size}, ramp(size, 0.9f)));
            const Var b(Tensor::from_host(on, {1, 1, 1, size}, ramp(size, 1.3f)));
            return relu(add(a, b)).value().to_host();
        };
        CHECK(relu_of_sum(*gpu) == relu_of_sum(*cpu));
    }
}

#endif
