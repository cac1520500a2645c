#include "launch_conv_epilogue.h"

#include "launch.h"

namespace distill {
namespace {

template <class T>
struct EpilogueRow {
    int64_t channels;
    const float* bias;
    const T* residual;
    bool relu;
    T* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, Lane lane) const {
        T* out = y + row * channels;
        const T* extra = residual ? residual + row * channels : nullptr;
        const float* b = bias;
        const bool clip = relu;
        lane.each(channels, [=](int64_t c) {
            float value = out[c];
            if (extra) value += extra[c];
            if (b) value += b[c];
            out[c] = clip && value < 0 ? 0.0f : value;  // NaN stays
        });
    }
};

struct Widen {
    const bfloat16* from;
    float* to;
    DISTILL_HD void operator()(int64_t i) const { to[i] = from[i]; }
};

template <class T>
EpilogueRow<T> row_of(const Shape& shape, const ConvEpilogue& e, void* y) {
    return {shape.c, e.bias, static_cast<const T*>(e.residual), e.relu, static_cast<T*>(y)};
}

}  // namespace

void conv_epilogue(Backend& backend, const Shape& shape, DType type, const ConvEpilogue& epilogue, void* y) {
    const auto run = [&](const auto& row) { for_each_row(backend, shape.pixels(), shape.c, row); };
    type == DType::bf16 ? run(row_of<bfloat16>(shape, epilogue, y)) : run(row_of<float>(shape, epilogue, y));
}

void conv_epilogue_here(const Shape& shape, DType type, const ConvEpilogue& epilogue, void* y) {
    const auto run = [&](const auto& row) { run_rows(shape.pixels(), shape.c, row); };
    type == DType::bf16 ? run(row_of<bfloat16>(shape, epilogue, y)) : run(row_of<float>(shape, epilogue, y));
}

void widen(Backend& backend, int64_t count, const bfloat16* from, float* to) { for_each_element(backend, count, Widen{from, to}); }

}  // namespace distill
