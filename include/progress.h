// progress.h: what a person sees while a training runs: one line that changes on a terminal, a plain line an epoch in a pipe.
// defines: Progress, duration
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace distill {

/// "1:02:03".
std::string duration(double seconds);

class Progress {
  public:
    /// Counts `total_steps` steps, of which `done` were made before this process. A training with a name is one of several at work:
    /// its name stands before each line, and only whole epochs are told.
    Progress(int epochs, int64_t total_steps, int64_t done, bool quiet, const std::string& name = "");
    ~Progress();
    void step(int epoch, int64_t images) { step(epoch, images, ""); }
    void step(int epoch, int64_t images, double loss, double accuracy);
    void epoch(int epoch, double loss, double train_accuracy, double test_accuracy, double best_accuracy);

  private:
    using Clock = std::chrono::steady_clock;
    void step(int epoch, int64_t images, const char* figures);
    std::string rate_and_eta() const;
    void clear_line();
    int epochs_;
    int64_t total_, first_, done_, images_ = 0;
    std::string prefix_;
    bool quiet_, terminal_, line_open_ = false;
    Clock::time_point start_, shown_;
};

}  // namespace distill
