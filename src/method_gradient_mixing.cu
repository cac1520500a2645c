// Parameters are cut into chunks, so that a large one does not wait for one group of threads. Three launches for all of them: squares of a
// chunk, factor of a parameter, mixture of a chunk; a fourth sums for the table.
#include "method_gradient_mixing.h"

#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "launch.h"
#include "train_option_table.h"
#include "train_run_folder.h"

namespace distill {
namespace {

constexpr int64_t chunk_size = 8192;

struct Chunk {
    int32_t begin, size, segment;
};

struct ChunkSquares {
    const Chunk* chunks;
    const float *main, *transfer;
    float* squares;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const Chunk chunk = chunks[row];
        const float *m = main + chunk.begin, *t = transfer + chunk.begin;
        const float of_main = lane.sum(chunk.size, [=](int64_t i) { return m[i] * m[i]; });
        const float of_transfer = lane.sum(chunk.size, [=](int64_t i) { return t[i] * t[i]; });
        if (lane.first()) squares[2 * row] = of_main, squares[2 * row + 1] = of_transfer;
    }
};

struct SegmentFactor {
    bool clips;
    const int32_t* first_chunk;
    const float *squares, *weight;
    float* factors;
    DISTILL_HD void operator()(int64_t segment) const {
        float main = 0, transfer = 0;
        for (int32_t c = first_chunk[segment]; c < first_chunk[segment + 1]; ++c) main += squares[2 * c], transfer += squares[2 * c + 1];
        const float m = sqrtf(main), t = sqrtf(transfer);
        if (clips)
            factors[segment] = *weight * (t > m ? m / t : 1.0f);
        else
            factors[segment] = 1.0f / (1.0f + expf(m > t ? -m / t : -1.0f));  // m/0: all of the transfer, which is 0
    }
};

struct MixChunk {
    const Chunk* chunks;
    const float *factors, *transfer;
    float* main;
    template <class Lane>
    DISTILL_HD void operator()(int64_t row, const Lane& lane) const {
        const Chunk chunk = chunks[row];
        const float factor = factors[chunk.segment], *t = transfer + chunk.begin;
        float* m = main + chunk.begin;
        lane.each(chunk.size, [=](int64_t i) { m[i] += factor * t[i]; });
    }
};

struct SumNorms {
    int64_t chunks, segments;
    const float *squares, *factors;
    float* sums;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const float *in = squares, *shares = factors;
        const float main = lane.sum(chunks, [=](int64_t c) { return in[2 * c]; });
        const float transfer = lane.sum(chunks, [=](int64_t c) { return in[2 * c + 1]; });
        const float factor = lane.sum(segments, [=](int64_t s) { return shares[s]; });
        if (!lane.first()) return;
        sums[0] += sqrtf(main);
        sums[1] += sqrtf(transfer);
        sums[2] += factor / static_cast<float>(segments);
        sums[3] += 1.0f;
    }
};

}  // namespace

GradientMixing::Rule GradientMixing::rule_of(const std::string& name) {
    if (name != "clip" && name != "scale") failure("GradientMixing: found '", name, "', expected clip or scale");
    return name == "clip" ? Rule::clip : Rule::scale;
}

GradientMixing::GradientMixing(Parameters& parameters, Rule rule) : parameters_(parameters), rule_(rule) {
    std::vector<int32_t> chunks, first{0};
    for (const Segment& s : parameters.segments()) {
        for (int64_t at = 0; at < s.size; at += chunk_size)
            for (const int64_t v : {s.offset + at, std::min(chunk_size, s.size - at), segments_}) chunks.push_back(static_cast<int32_t>(v));
        ++segments_;
        first.push_back(static_cast<int32_t>(chunks.size() / 3));
    }
    chunks_ = first.back();
    Backend& backend = parameters.backend();
    chunk_table_ = Tensor::integers(backend, {chunks_, 1, 1, 3});
    chunk_table_.upload(chunks.data());
    first_chunk_ = Tensor::integers(backend, {segments_ + 1, 1, 1, 1});
    first_chunk_.upload(first.data());
    transfer_ = Tensor::zeros(backend, parameters.gradients().shape());
    squares_ = Tensor::zeros(backend, {chunks_, 1, 1, 2});
    factors_ = Tensor::zeros(backend, {segments_, 1, 1, 1});
    weight_ = Tensor::from_host(backend, {}, {1.0f});
    sums_ = Tensor::zeros(backend, {1, 1, 1, 4});
}

void GradientMixing::begin_epoch(int epoch) {
    const auto weight = rule_ == Rule::clip ? static_cast<float>(1 / (1 + std::exp(-static_cast<double>(epoch)))) : 1.0f;
    weight_.upload(&weight);
}

void GradientMixing::backward(Tape& tape, const Var& main, const Var& transfer) {
    parameters_.begin_backward(transfer_);
    tape.backward(transfer, true);
    parameters_.begin_backward();
    tape.backward(main);
    mix();
}

void GradientMixing::mix() {
    Backend& backend = parameters_.backend();
    const auto* chunks = reinterpret_cast<const Chunk*>(chunk_table_.ints());
    float* main = parameters_.gradients().data();
    const int64_t length = std::min(chunk_size, transfer_.size());
    for_each_row(backend, chunks_, length, ChunkSquares{chunks, main, transfer_.data(), squares_.data()});
    for_each_element(backend, segments_,
                     SegmentFactor{rule_ == Rule::clip, first_chunk_.ints(), squares_.data(), weight_.data(), factors_.data()});
    for_each_row(backend, chunks_, length, MixChunk{chunks, factors_.data(), transfer_.data(), main});
    for_each_row(backend, 1, chunks_, SumNorms{chunks_, segments_, squares_.data(), factors_.data(), sums_.data()});
}

void GradientMixing::end_epoch(const RunFolder& folder, int epoch) {
    const std::vector<float> sums = sums_.to_host();
    const auto mean = [&](size_t i) { return number(static_cast<double>(sums[i]) / static_cast<double>(sums[3])); };
    CsvWriter rows =
        folder.table("gradients.csv", {"epoch", "norm_ce", "norm_transfer", "weight", "factor"}, epoch > 0, static_cast<size_t>(epoch));
    rows.row({std::to_string(epoch), mean(0), mean(1), number(static_cast<double>(weight_.item())), mean(2)});
    rows.sync();
    sums_.zero();
}

void add_mixing_options(OptionTable& t, std::string& mixing) {
    t.add_fixed("--gamma", 1, "the cross-entropy is not weighed, --mixing says how the gradients meet");
    t.add_fixed("--alpha", 0, "there is no KL beside it");
    t.add("--mixing", mixing, {"clip", "scale"},
          "a parameter's transfer gradient is clipped to its cross-entropy's norm, times sigmoid(epoch); or scaled by 1/(1+e^-r), r the "
          "norms' ratio, at least 1");
}

}  // namespace distill
