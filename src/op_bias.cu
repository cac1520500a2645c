// y = x + bias for every pixel; back: the bias collects the sum over all pixels, chunk by chunk in a fixed order.
#include "base_error.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

template <class T>
struct AddBiasRow {
    const T* x;
    const float* bias;
    int64_t channels;
    T* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, Lane lane) const {
        const T* in = x + row * channels;
        const float* b = bias;
        T* out = y + row * channels;
        lane.each(channels, [=](int64_t c) { out[c] = in[c] + b[c]; });
    }
};

/// Row `chunk` of the result: the sum of that chunk's rows of x (rows,channels).
template <class T>
struct SumRowsOfChunk {
    const T* x;
    int64_t rows, channels, per_chunk;
    float* sums;
    template <class Lane>
    DISTILL_HD void operator()(int64_t chunk, Lane lane) const {
        const int64_t begin = chunk * per_chunk, end = begin + per_chunk < rows ? begin + per_chunk : rows, width = channels;
        const T* in = x;
        float* out = sums + chunk * channels;
        lane.column_sums(
            static_cast<int>(end - begin), static_cast<int>(width), [=](int r, int c) { return in[(begin + r) * width + c]; },
            [=](int c, double total) { out[c] = static_cast<float>(total); });
    }
};

/// sums (channels) = the column sums of x (rows,channels).
template <class T>
void column_sums(Backend& backend, const T* x, int64_t rows, int64_t channels, float* sums) {
    constexpr int64_t per_chunk = 512;
    const int64_t chunks = (rows + per_chunk - 1) / per_chunk;
    if (chunks == 1) return for_each_row(backend, 1, rows * channels, SumRowsOfChunk<T>{x, rows, channels, rows, sums});
    const Tensor partial(backend, {chunks, 1, 1, channels});
    for_each_row(backend, chunks, per_chunk * channels, SumRowsOfChunk<T>{x, rows, channels, per_chunk, partial.data()});
    for_each_row(backend, 1, chunks * channels, SumRowsOfChunk<float>{partial.data(), chunks, channels, chunks, sums});
}

}  // namespace

Var add_bias(const Var& x, const Var& bias) {
    const int64_t channels = x.shape().c, rows = x.shape().pixels();
    if (bias.shape().size() != channels)
        failure("add_bias: x ", to_string(x.shape()), " has ", channels, " channels, bias ", to_string(bias.shape()),
                " ---> make it (1,1,1,C)");
    Var y = result_of(Tensor::like(x.value()), x, bias);
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(x.backend(), rows, channels, AddBiasRow<T>{x.as<T>(), bias.data(), channels, y.as<T>()});
    });
    record(y, [x, bias, y, rows, channels] {
        const Tensor dy = take_gradient(y);
        {
            const GradTarget db(bias);
            if (db.wanted())
                with_type(dy.type(), [&](auto t) { column_sums(x.backend(), dy.as<decltype(t)>(), rows, channels, db.data()); });
        }
        give_gradient(x, dy);
    });
    return y;
}

}  // namespace distill
