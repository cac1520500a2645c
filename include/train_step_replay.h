// train_step_replay.h: steps of a training, each queued by the host at first, later replayed from a recording.
// defines: StepReplay
#pragma once
#include <functional>
#include <map>
#include <memory>

#include "core_backend.h"

namespace distill {

/// Runs steps of one kind. The first step of a size runs as it is, the second is recorded, and from then on it is one launch. Where
/// nothing is recorded, each runs as it is.
class StepReplay {
  public:
    void run(Backend& backend, int64_t size, const std::function<void()>& step);

  private:
    struct Recorded {       ///< the step of one size of batch
        bool warm = false;  ///< it has run once, so that libraries have chosen their algorithms
        std::unique_ptr<Replay> replay;
    };
    std::map<int64_t, Recorded> recorded_;
};

}  // namespace distill
