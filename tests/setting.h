// setting.h: what a method is set into, for tests of one without a training around it.
// defines: testing::setting, testing::recorded_step
#pragma once
#include "data_loader.h"
#include "method.h"
#include "method_teacher.h"
#include "op_autograd.h"
#include "train_options.h"

namespace distill::testing {

inline Setting setting(Backend& backend, int classes, std::vector<const Teacher*> teachers = {}, int64_t side = 16, int64_t records = 100) {
    return {backend, {1, side, side, 3}, classes, records, std::move(teachers)};
}

/// The method's step of a batch, recorded on the tape.
inline StepResult recorded_step(Method& method, Tape& tape, const Batch& batch) {
    const Recording on(&tape);
    return method.step(batch);
}

}  // namespace distill::testing
