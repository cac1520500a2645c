// train_schedule.h: what follows from --epochs, and what of a training was set by hand.
// defines: scale_with_epochs, note_late_milestones, told_by_hand, told_before, told_when_longer
#pragma once
#include <string>

#include "train_options.h"
#include "train_run_folder.h"

namespace distill {

/// A method's milestones are parts of its training: where --epochs is not what the method (or --preset) has, --lr-steps and warm-ups
/// (TableOption::in_epochs) keep their part of it, unless given by hand. Both are rounded to whole epochs; a warm-up that there was stays
/// one, of an epoch or more where the training has a second; milestones that fall together or outside the training are left out. Called
/// again it changes nothing more, and a resumed run's values are as they were. Returns a note that says so, or nothing.
std::string scale_with_epochs(OptionTable& table, const Options& options);

/// Prints which of --lr-steps lie beyond the last epoch, if any.
void note_late_milestones(const Options& options);

/// What a recipe was changed in: "epochs=1 (240); lr=0.001 (0.1)", in brackets what the method or --preset has. Neither networks, data and
/// their files nor how and where the training goes. Before options are resolved.
std::string told_by_hand(const OptionTable& table, const Options& options);
/// What a run's config.csv has of that.
std::string told_before(const Config& config);
/// The same of a run of `before` epochs that is made longer, to `now`.
std::string told_when_longer(const std::string& told, int before, int now);

}  // namespace distill
