// The batch normalisation kernels against the CPU's loops, on a GPU or, under `make test-emulated`, in the emulation.
#include <cmath>
#include <string>
#include <vector>

#include "base_error.h"
#include "core_philox.h"
#include "core_tensor.h"
#include "cpu_backend.h"
#include "device.h"
#include "testing.h"

#ifdef DISTILL_EMULATE_GPU
#include "cuda_emulated_backend.h"
#include "gpu_emulation.h"
#endif

using namespace distill;

namespace {

#if defined(DISTILL_CUDA) || defined(DISTILL_EMULATE_GPU)

/// The backend whose kernels are tested, or null after the running case was recorded as skipped.
std::unique_ptr<Backend> gpu_or_skip() {
#ifdef DISTILL_EMULATE_GPU
    return std::make_unique<EmulatedGpu>(DeviceOptions{});
#else
    if (cuda_device_count() > 0) return make_cuda_backend();
    testing::skip("no CUDA device");
    return nullptr;
#endif
}

struct Setting {
    int64_t rows, channels;
    DType type;
    bool relu, residual, running;
    int64_t offset = 0;  ///< elements that the maps begin after the start of their memory
};

/// Fixed numbers in ±1 about `center`, that bfloat16 holds as well.
std::vector<float> values(uint64_t key, int64_t n, float center = 0) {
    std::vector<float> v(static_cast<size_t>(n));
    for (size_t i = 0; i < v.size(); ++i) v[i] = bfloat16(center + 2 * uniform(philox(key, i).v[0]) - 1);
    return v;
}

using Host = std::vector<float>;

/// A map of the setting's type in device memory.
struct Map {
    Tensor whole;
    Shape shape;
    int64_t offset;

    Map(Backend& backend, const Setting& s, const Host& from = {})
        : whole(backend, {1, 1, 1, s.rows * s.channels + s.offset}, s.type), shape{s.rows, 1, 1, s.channels}, offset(s.offset) {
        whole.zero();
        if (from.empty()) return;
        if (s.type == DType::f32) backend.upload(data(), from.data(), from.size() * sizeof(float));
        if (s.type == DType::bf16) {
            const std::vector<bfloat16> rounded(from.begin(), from.end());
            backend.upload(data(), rounded.data(), rounded.size() * sizeof(bfloat16));
        }
        backend.synchronize();
    }
    void* data() const { return whole.view(offset, shape).raw(); }
    Host host() const { return whole.view(offset, shape).to_host(); }
};

struct Results {
    Host y, mean, inverse_std, running_mean, running_var, dx, dresidual, dgamma, dbeta;
    bool operator==(const Results& o) const {
        return y == o.y && mean == o.mean && inverse_std == o.inverse_std && running_mean == o.running_mean &&
               running_var == o.running_var && dx == o.dx && dresidual == o.dresidual && dgamma == o.dgamma && dbeta == o.dbeta;
    }
};

/// Forward and backward. The ReLU's mask and the statistics come from `given`, where it is not null: where y is almost 0, another
/// order of sums gives it another sign. dx overwrites dy.
Results run(Backend& backend, const Setting& s, const Results* given = nullptr) {
    const Shape vector{1, 1, 1, s.channels};
    const auto per_channel = [&](const Host& from) { return Tensor::from_host(backend, vector, from); };
    BatchNormShape shape;
    shape.rows = s.rows;
    shape.channels = s.channels;
    shape.relu = s.relu;
    shape.type = s.type;
    const int64_t n = s.rows * s.channels;
    const Map x(backend, s, values(1, n, 3)), residual(backend, s, values(2, n)), dy(backend, s, values(3, n)), y(backend, s);
    const Map dresidual(backend, s);
    const Tensor gamma = per_channel(values(4, s.channels, 1.5f)), beta = per_channel(values(5, s.channels));
    const Tensor running_mean = per_channel(values(6, s.channels)), running_var = per_channel(values(7, s.channels, 2));
    const Tensor mean(backend, vector), inverse_std(backend, vector), dgamma(backend, vector), dbeta(backend, vector);
    backend.batchnorm_forward(
        shape, {x.data(), s.residual ? residual.data() : nullptr, gamma.data(), beta.data(), y.data(), mean.data(), inverse_std.data(),
                s.running ? running_mean.data() : nullptr, s.running ? running_var.data() : nullptr});
    Results r{y.host(), mean.to_host(), inverse_std.to_host(), running_mean.to_host(), running_var.to_host(), {}, {}, {}, {}};
    const Map mask(backend, s, given ? given->y : r.y);
    const Tensor m = per_channel(given ? given->mean : r.mean), i = per_channel(given ? given->inverse_std : r.inverse_std);
    backend.batchnorm_backward(shape, {x.data(), mask.data(), dy.data(), gamma.data(), m.data(), i.data(), nullptr, dy.data(),
                                       s.residual ? dresidual.data() : nullptr, dgamma.data(), dbeta.data()});
    r.dx = dy.host();
    r.dresidual = dresidual.host();
    r.dgamma = dgamma.to_host();
    r.dbeta = dbeta.to_host();
    return r;
}

/// Within `tolerance` of the largest value; NaN fails.
void check_close(const std::string& what, const Host& found, const Host& expected, double tolerance) {
    REQUIRE(found.size() == expected.size());
    double scale = 0, worst = 0;
    for (size_t i = 0; i < found.size(); ++i) {
        scale = std::max(scale, std::fabs(static_cast<double>(expected[i])));
        const double error = std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
        if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
    }
    CHECK_MESSAGE(worst <= tolerance * scale, what, ": worst error ", worst, " where the largest value is ", scale);
}

void check_like_cpu(Backend& gpu, const Setting& s) {
    const std::string name = text(s.rows, " rows of ", s.channels, s.type == DType::bf16 ? ", bfloat16" : ", float", s.relu ? ", relu" : "",
                                  s.residual ? ", residual" : "", s.running ? ", running" : "", ", offset ", s.offset);
    CAPTURE(name);
    CpuBackend cpu({0, Precision::fp32});
    Setting in_float = s;
    in_float.type = DType::f32;
    const Results expected = run(cpu, in_float), found = run(gpu, s, &expected);
    double distance = 0;  // of the mean from 0, in standard deviations: a·x + b and u·x + v cancel by as much
    for (size_t c = 0; c < expected.mean.size(); ++c)
        distance = std::max(distance, std::fabs(static_cast<double>(expected.mean[c]) * static_cast<double>(expected.inverse_std[c])));
    const double map_tolerance = s.type == DType::bf16 ? 0x1p-8 : 1e-6 * (5 + distance);  // bfloat16 is rounded by half of it at most
    check_close("y", found.y, expected.y, map_tolerance);
    check_close("dx", found.dx, expected.dx, map_tolerance);
    CHECK(found.dresidual == expected.dresidual);  // masked, or 0 where not asked for
    check_close("mean", found.mean, expected.mean, 1e-6);
    check_close("inverse_std", found.inverse_std, expected.inverse_std, 1e-5);
    check_close("running_mean", found.running_mean, expected.running_mean, 1e-6);
    check_close("running_var", found.running_var, expected.running_var, 1e-6);
    check_close("dgamma", found.dgamma, expected.dgamma, 1e-5);
    check_close("dbeta", found.dbeta, expected.dbeta, 1e-5);
    CHECK(run(gpu, s, &expected) == found);
}

#endif

}  // namespace

#if defined(DISTILL_CUDA) || defined(DISTILL_EMULATE_GPU)

TEST_CASE("cuda batchnorm: like the CPU's for all channels, types and fusions, and the same bits again") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    for (const DType type : {DType::f32, DType::bf16})
        for (const int64_t channels : {3, 16, 17, 64, 100, 132, 256, 520})  // vectors or not; one tile or several, the last one short
            for (const int64_t rows : {3, 700})
                for (int flags = 0; flags < 8; ++flags)
                    check_like_cpu(*gpu, {rows, channels, type, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0});
}

TEST_CASE("cuda batchnorm: one row, many rows, and maps that vectors do not fit") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    for (const DType type : {DType::f32, DType::bf16}) {
        check_like_cpu(*gpu, {1, 16, type, true, true, true});
        check_like_cpu(*gpu, {30000, 3, type, true, false, true});
        check_like_cpu(*gpu, {9001, 16, type, true, true, false});
        check_like_cpu(*gpu, {300, 64, type, true, true, false, 1});
    }
}

TEST_CASE("cuda batchnorm: a mean far from zero costs no accuracy") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    CpuBackend cpu({0, Precision::fp32});
    const Shape map{2000, 1, 1, 16}, vector{1, 1, 1, 16};
    std::vector<float> x(static_cast<size_t>(map.size()));
    for (size_t i = 0; i < x.size(); ++i) x[i] = 1000 + uniform(philox(1, i).v[0]);
    const auto inverse_std = [&](Backend& on) {
        BatchNormShape s;
        s.rows = map.n;
        s.channels = map.c;
        const Tensor in = Tensor::from_host(on, map, x), y(on, map), mean(on, vector), result(on, vector);
        const Tensor one = Tensor::from_host(on, vector, std::vector<float>(16, 1.0f));
        on.batchnorm_forward(s, {in.data(), nullptr, one.data(), one.data(), y.data(), mean.data(), result.data(), nullptr, nullptr});
        return result.to_host();
    };
    check_close("inverse_std", inverse_std(*gpu), inverse_std(cpu), 1e-5);
}

TEST_CASE("cuda batchnorm: more channels than the kernels take are refused") {
    const auto gpu = gpu_or_skip();
    if (!gpu) return;
    BatchNormShape s;
    s.rows = 1;
    s.channels = 16385;
    CHECK_THROWS_WITH_AS(gpu->batchnorm_forward(s, {}), doctest::Contains("16385 channels, at most 16384"), std::runtime_error);
    CHECK_THROWS_WITH_AS(gpu->batchnorm_backward(s, {}), doctest::Contains("16385 channels"), std::runtime_error);
}

#endif

#ifdef DISTILL_EMULATE_GPU

TEST_CASE("cuda batchnorm: no bit depends on the order of threads or blocks") {
    EmulatedGpu gpu(DeviceOptions{});
    for (const DType type : {DType::f32, DType::bf16})
        for (const int64_t channels : {17, 64, 132}) {
            const Setting s{2000, channels, type, true, true, true};
            const Results expected = run(gpu, s);
            for (const emulation::Order order : {emulation::Order::ascending, emulation::Order::descending, emulation::Order::random})
                for (uint64_t seed = 0; seed < 3; ++seed) {
                    emulation::set_order(order, seed);
                    CHECK(run(gpu, s) == expected);
                }
            emulation::set_order(emulation::Order::alternating);
        }
}

#endif
