// What the host reads once an epoch, summed where the training runs.
#include <algorithm>

#include "base_error.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

struct IsCorrect {
    int64_t classes;
    const float* logits;
    const int32_t* labels;
    float* hit;
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        const float* x = logits + sample * classes;
        const float top = lane.max(classes, [=](int64_t j) { return x[j]; });
        // The first of equals is the largest of the negated indices, exact in float; a row with a NaN has none.
        const auto none = -static_cast<float>(classes);
        const float at = -lane.max(classes, [=](int64_t j) { return x[j] == top ? -static_cast<float>(j) : none; });
        const float spoilt = lane.max(classes, [=](int64_t j) { return x[j] == x[j] ? 0.0f : 1.0f; });
        if (lane.first()) hit[sample] = spoilt == 0 && static_cast<int64_t>(at) == labels[sample] ? 1.0f : 0.0f;
    }
};
struct AddSum {
    int64_t n;
    const float* x;
    float* total;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const float* in = x;
        const float sum = lane.sum(n, [=](int64_t i) { return in[i]; });
        if (lane.first()) *total += sum;
    }
};

/// Columns first, first + 1, … of the step's row: `count` values, then, where `hit` is given, its sum and its length.
struct LogStep {
    static constexpr int most = 48;  ///< values a launch: their addresses travel with it
    float* table;
    const int32_t* row;
    int64_t columns, first, samples;
    int count;
    const float* values[most];
    const float* hit;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        float* out = table + *row * columns + first;
        if (lane.first())
            for (int i = 0; i < count; ++i) out[i] = *values[i];
        if (!hit) return;
        const float* in = hit;
        const float correct = lane.sum(samples, [=](int64_t i) { return in[i]; });
        if (!lane.first()) return;
        out[count] = correct;
        out[count + 1] = static_cast<float>(samples);
    }
};

struct LogValue {
    float* column;
    const int32_t* row;
    const float* value;
    DISTILL_HD void operator()(int64_t) const { column[*row] = *value; }
};

}  // namespace

Tensor correct_rows(const Tensor& logits, const Tensor& labels) {
    const int64_t samples = logits.shape().pixels(), classes = logits.shape().c;
    if (labels.size() != samples)
        failure("correct_rows: shapes ", to_string(logits.shape()), " and ", to_string(labels.shape()),
                " of logits and labels ---> one label for each row of logits");
    Tensor hit(logits.backend(), {samples, 1, 1, 1});
    for_each_row(logits.backend(), samples, classes, IsCorrect{classes, logits.data(), labels.ints(), hit.data()});
    return hit;
}

void count_correct(const Tensor& logits, const Tensor& labels, const Tensor& correct) {
    if (correct.size() != 1) failure("count_correct: summed in ", to_string(correct.shape()), " ---> one float for the sum");
    const Tensor hit = correct_rows(logits, labels);
    for_each_row(logits.backend(), 1, hit.size(), AddSum{hit.size(), hit.data(), correct.data()});
}

void log_step(const Tensor& table, const Tensor& row, const std::vector<Tensor>& values, const Tensor& logits, const Tensor& labels) {
    const auto count = static_cast<int64_t>(values.size());
    if (table.shape().c != count + 2)
        failure("log_step: ", count, " values, the images and how many were right do not fill a row of ", to_string(table.shape()));
    const Tensor hit = correct_rows(logits, labels);
    for (int64_t first = 0; first == 0 || first < count; first += LogStep::most) {
        const int64_t end = std::min<int64_t>(count, first + LogStep::most);
        LogStep log{table.data(), row.ints(), table.shape().c, first, hit.size(), static_cast<int>(end - first), {}, nullptr};
        for (int64_t i = first; i < end; ++i) log.values[i - first] = values[static_cast<size_t>(i)].data();
        if (end == count) log.hit = hit.data();
        for_each_row(table.backend(), 1, hit.size(), log);
    }
}

void log_value(const Tensor& column, const Tensor& row, const Tensor& value) {
    for_each_element(column.backend(), 1, LogValue{column.data(), row.ints(), value.data()});
}

}  // namespace distill
