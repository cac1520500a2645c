// run_answers.h: a network's answers, image by image: the best k, and class by class.
// defines: Answers, rows_by_class
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace distill {

class Answers {
  public:
    explicit Answers(int classes) : ranks_(static_cast<size_t>(classes)) {}
    /// `logits`: one for each class. Of equal ones the first is the better, as in count_correct; NaN is never right.
    void add(const float* logits, int32_t label);
    /// Images in % whose label is among the best `k` answers.
    double top(size_t k) const;
    /// The same for the images of one class; NaN if there are none.
    double top(size_t k, int label) const;
    size_t images(int label) const { return ranks_[static_cast<size_t>(label)].size(); }

  private:
    std::vector<std::vector<int32_t>> ranks_;  ///< by label: how many answers were better than the right one
};

/// A line for each class, under a heading: label, name (if there are names), images, accuracy, and top-5 where there are more than 5.
std::vector<std::vector<std::string>> rows_by_class(const Answers& answers, int classes, const std::vector<std::string>& names);

}  // namespace distill
