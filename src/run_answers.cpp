#include "run_answers.h"

#include <algorithm>
#include <cmath>

#include "base_texts.h"

namespace distill {
namespace {

size_t among_best(const std::vector<int32_t>& ranks, size_t k) {
    return static_cast<size_t>(std::count_if(ranks.begin(), ranks.end(), [k](int32_t rank) { return rank < static_cast<int32_t>(k); }));
}

}  // namespace

void Answers::add(const float* logits, int32_t label) {
    const auto classes = static_cast<int32_t>(ranks_.size());
    int32_t better = std::isnan(logits[label]) ? classes : 0;
    for (int32_t j = 0; j < classes; ++j)
        better += logits[j] > logits[label] || std::isnan(logits[j]) || (logits[j] == logits[label] && j < label);
    ranks_[static_cast<size_t>(label)].push_back(better);
}

double Answers::top(size_t k) const {
    size_t right = 0, all = 0;
    for (const auto& ranks : ranks_) right += among_best(ranks, k), all += ranks.size();
    return 100.0 * static_cast<double>(right) / static_cast<double>(all);
}

double Answers::top(size_t k, int label) const {
    const auto& ranks = ranks_[static_cast<size_t>(label)];
    return 100.0 * static_cast<double>(among_best(ranks, k)) / static_cast<double>(ranks.size());
}

std::vector<std::vector<std::string>> rows_by_class(const Answers& answers, int classes, const std::vector<std::string>& names) {
    constexpr size_t several = 5;
    const bool both = classes > static_cast<int>(several);
    std::vector<std::vector<std::string>> rows{{"label", "name", "images", "accuracy"}};
    if (both) rows.front().emplace_back("top-5");
    for (int c = 0; c < classes; ++c) {
        const auto percent = [&](size_t k) { return answers.images(c) == 0 ? "-" : fixed(answers.top(k, c)); };
        rows.push_back(
            {std::to_string(c), names.empty() ? "" : names[static_cast<size_t>(c)], std::to_string(answers.images(c)), percent(1)});
        if (both) rows.back().push_back(percent(several));
    }
    return rows;
}

}  // namespace distill
