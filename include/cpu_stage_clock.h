// cpu_stage_clock.h: where the threads of one operation spend their time, stage by stage, for the profile; costs a test where nobody asks.
// defines: StageTimes, StageClock
#pragma once
#include <array>
#include <chrono>

namespace distill {

/// Milliseconds of all threads together, by stage.
using StageTimes = std::array<double, 4>;

/// One thread's clock, within a parallel region; it adds its times to the whole when it ends.
class StageClock {
    using Clock = std::chrono::steady_clock;

  public:
    explicit StageClock(StageTimes* whole) : whole_(whole) { skip(); }
    ~StageClock() {
        if (!whole_) return;
#pragma omp critical(distill_stage_times)
        for (size_t i = 0; i < mine_.size(); ++i) (*whole_)[i] += mine_[i];
    }
    StageClock(const StageClock&) = delete;
    StageClock& operator=(const StageClock&) = delete;

    /// The time since the last call was this stage's.
    void lap(size_t stage) {
        if (!whole_) return;
        const auto now = Clock::now();
        mine_[stage] += std::chrono::duration<double, std::milli>(now - last_).count();
        last_ = now;
    }
    /// The time since the last call was nobody's.
    void skip() {
        if (whole_) last_ = Clock::now();
    }

  private:
    StageTimes* whole_;
    StageTimes mine_{};
    Clock::time_point last_;
};

}  // namespace distill
