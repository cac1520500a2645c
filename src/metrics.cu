// What the host reads once an epoch, summed where the training runs.
#include "error.h"
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
        // The first of equals is the largest of the negated indices, exact in float; a row of NaNs has none.
        const auto none = -static_cast<float>(classes);
        const float at = -lane.max(classes, [=](int64_t j) { return x[j] == top ? -static_cast<float>(j) : none; });
        if (lane.first()) hit[sample] = static_cast<int64_t>(at) == labels[sample] ? 1.0f : 0.0f;
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

struct LogScalar {
    float* table;
    const int32_t* row;
    int64_t columns, column;
    const float* value;
    DISTILL_HD void operator()(int64_t) const { table[*row * columns + column] = *value; }
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

void log_scalar(const Tensor& table, const Tensor& row, int64_t column, const Tensor& value) {
    for_each_element(table.backend(), 1, LogScalar{table.data(), row.ints(), table.shape().c, column, value.data()});
}

}  // namespace distill
