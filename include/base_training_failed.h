// base_training_failed.h: how a training ends that cannot go on, while the program itself is sound.
// defines: TrainingFailed
#pragma once
#include <stdexcept>

namespace distill {

/// The loss or a weight is not finite any more. main() exits with 1; a search records the trial as failed and goes on.
struct TrainingFailed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace distill
