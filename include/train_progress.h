// train_progress.h: what a person sees while a training runs: one line that changes on a terminal and fits it, a plain line an epoch in
// a pipe.
// defines: Progress, first_that_fits
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace distill {

/// Of the same said at ever shorter length the first of at most `columns` bytes, or the last.
std::string first_that_fits(const std::vector<std::string>& lines, size_t columns);

class Progress {
  public:
    /// Counts `total_steps` steps, of which `done` were made before this process. A training with a name is one of several at work:
    /// its name stands before each line, and only whole epochs are told. `phase`: what an epoch is called.
    Progress(int epochs, int64_t total_steps, int64_t done, bool quiet, const std::string& name = "", const std::string& phase = "epoch");
    ~Progress();
    /// `figures`: what is known of it, "  loss 0.1234".
    void step(int epoch, int64_t images, const std::string& figures = "");
    void step(int epoch, int64_t images, double loss, double accuracy);
    /// `figures`: from all that is known to the least worth saying where a terminal has no place for more.
    void epoch(int epoch, const std::vector<std::string>& figures);
    void epoch(int epoch, double loss, double train_accuracy, double test_accuracy, double best_accuracy);

  private:
    using Clock = std::chrono::steady_clock;
    std::string rate() const;  ///< "" where this process has made no step yet
    std::string eta() const;   ///< likewise
    void clear_line();
    int epochs_;
    int64_t total_, first_, done_, images_ = 0;
    std::string prefix_, phase_;
    bool quiet_, terminal_, line_open_ = false;
    Clock::time_point start_, shown_;
};

}  // namespace distill
