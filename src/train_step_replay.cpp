#include "train_step_replay.h"

namespace distill {

void StepReplay::run(Backend& backend, int64_t size, const std::function<void()>& step) {
    Recorded& recorded = recorded_[size];
    if (!recorded.replay) {
        backend.begin_step();
        if (recorded.warm) recorded.replay = backend.capture(step);
        if (!recorded.replay) step();
        recorded.warm = true;
    }
    if (recorded.replay) recorded.replay->run();
    backend.pace();
}

}  // namespace distill
