#include "method_batch_graphs.h"

#include "launch.h"
#include "train_run_folder.h"

namespace distill {
namespace {

constexpr int64_t losses_from = 0, graphs_from = 8, all_sums = 12;  // of each loss sum and count; edges, right ones of both, common ones

struct AddLosses {
    int64_t n;
    const float* losses;
    float* sums;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const float* in = losses;
        const float sum = lane.sum(n, [=](int64_t i) { return in[i]; });
        if (lane.first()) sums[0] += sum, sums[1] += static_cast<float>(n);
    }
};

struct AddGraphs {
    int64_t n;
    const float *student, *teacher;
    const int32_t* labels;
    float* sums;
    template <class Lane>
    DISTILL_HD void operator()(int64_t, const Lane& lane) const {
        const float *s = student, *t = teacher;
        const int32_t* y = labels;
        const int64_t width = n;
        const auto count = [&](const auto& which) {
            return lane.sum(width * width, [=](int64_t at) {
                const int64_t i = at / width, j = at % width;
                return i != j && which(at, i, j) ? 1.0f : 0.0f;
            });
        };
        const float edges = count([=](int64_t at, int64_t, int64_t) { return t[at] > 0; });
        const float right_s = count([=](int64_t at, int64_t i, int64_t j) { return s[at] > 0 && y[i] == y[j]; });
        const float right_t = count([=](int64_t at, int64_t i, int64_t j) { return t[at] > 0 && y[i] == y[j]; });
        const float common = count([=](int64_t at, int64_t, int64_t) { return s[at] > 0 && t[at] > 0; });
        if (!lane.first()) return;
        sums[0] += edges, sums[1] += right_s, sums[2] += right_t, sums[3] += common;
    }
};

}  // namespace

BatchGraphLog::BatchGraphLog(Backend& backend) : sums_(Tensor::zeros(backend, {1, 1, 1, all_sums})) {}

void BatchGraphLog::add(Loss which, const Tensor& losses) const {
    for_each_row(sums_.backend(), 1, losses.size(), AddLosses{losses.size(), losses.data(), sums_.data() + losses_from + 2 * which});
}

void BatchGraphLog::add_graphs(const Tensor& student, const Tensor& teacher, const Tensor& labels) const {
    const int64_t n = labels.size();
    for_each_row(sums_.backend(), 1, n * n, AddGraphs{n, student.data(), teacher.data(), labels.ints(), sums_.data() + graphs_from});
}

void BatchGraphLog::end_epoch(const RunFolder& folder, int epoch) {
    const std::vector<float> sums = sums_.to_host();
    std::vector<std::string> cells{std::to_string(epoch)};
    const auto add = [&](double factor, size_t sum, size_t count) {
        const auto of = static_cast<double>(sums[count]);
        cells.push_back(of > 0 ? number(factor * static_cast<double>(sums[sum]) / of) : "");
    };
    for (const size_t loss : {0, 2, 4, 6}) add(1, loss, loss + 1);
    for (const size_t share : {1, 2, 3}) add(100, graphs_from + share, graphs_from);
    CsvWriter rows =
        folder.table("graphs.csv", {"epoch", "individual_s", "individual_t", "graph_s", "graph_t", "right_s", "right_t", "overlap"},
                     epoch > 0, static_cast<size_t>(epoch));
    rows.row(cells);
    rows.sync();
    sums_.zero();
}

}  // namespace distill
