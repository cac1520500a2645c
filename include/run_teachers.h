// run_teachers.h: the teachers of an experiment: named by their files, or trained first.
// defines: settle_or_train_teachers
#pragma once
#include "train_options.h"

namespace distill {

/// With --train-teachers N: trains N networks of --teacher-nets with cross-entropy, on the data and schedule of the options, from the seeds
/// 0 … N−1 (whatever --seed is, so that students of all seeds have the same teachers), as `distill train` does, each in s<seed>/ of
/// --teachers-run. One that is there is used again, one that was interrupted goes on. They are options.teachers then, and settled, as
/// named ones are by settle_teachers(). InputError, before anything is trained: named teachers as well, no or several networks, or a
/// folder whose teacher was trained with other options or data (the first difference is named). With options.check_only nothing is trained,
/// and those that are not there yet are named all the same.
void settle_or_train_teachers(const OptionTable& table, Options& options);

}  // namespace distill
