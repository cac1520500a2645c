// net_foreign_weights.h: a network's weights from whoever trained it, in this program's names and order of channels.
// defines: WeightShapes, ShortcutZeros, to_own_conventions, may_be, classes_of, rename_tensor,
//          require_enough, keep_student, take_network
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base_weights.h"
#include "net.h"

namespace distill {

using WeightShapes = std::map<std::string, std::vector<int64_t>>;

/// Where an option-A shortcut puts the channels of zero that it adds: behind the others, as here, or half of them before. The tensors do not
/// show it. `by_names`: on both sides where the classifier is called `linear`, as in the best known such networks (akamaster's), else at the
/// end.
enum class ShortcutZeros { by_names, at_end, both_sides };

/// Puts the tensors under `prefix` of a stranger's file (one that own_word() knows nothing of, and that was not converted before) into the
/// conventions of `network`, whose names and shapes are `own`: the classifier may be called fc, linear, classifier or classifier.0, a
/// block's projection shortcut or downsample, and where option-A's zeros are on both sides, channels change places so that the network
/// computes the same. What does not fit stays as it is. Returns a sentence for what had to be guessed, "" for nothing.
std::string to_own_conventions(WeightFile& file, const std::string& prefix, const Network& network, const WeightShapes& own,
                               ShortcutZeros zeros = ShortcutZeros::by_names);

/// What a file that is not `network`'s seems to be, for the message: "; …", or "" where nothing is known of it.
std::string may_be(const WeightFile& file, const std::string& prefix, const Network& network);

/// Outputs of the classifier, by any of its names; 0 if there is none.
int64_t classes_of(const WeightFile& file);

/// A tensor that would meet another stays under its own name, to be refused; one that is not there is no fault.
void rename_tensor(WeightFile& file, const std::string& from, const std::string& to);

/// The rule wherever a file says itself which network it is, before that is allocated: a name may ask for far more than the file holds.
/// InputError if the file has fewer numbers than `network`, registered in `parameters`, has weights; `remedy` ends it ("; …").
void require_enough(const WeightFile& file, const std::string& path, const Network& network, const Parameters& parameters,
                    const char* remedy = "; the file says that it is one: download or convert it again");

/// Leaves of the file's tensors those under "student.", without that, and prints how many others there were. Of a file that has none of
/// them, all but "trans_fusion_module.", which FFSD's leader has beside its network as its authors write it.
void keep_student(WeightFile& file, const std::string& path);

/// Sets the weights of `network`, which `parameters` have under `prefix`, from a file that has them bare, or under "student." beside helper
/// modules, which are left, as is what FFSD's leader has (keep_student()); after to_own_conventions(). What was guessed or left is printed,
/// a line each. InputError naming the first mismatches, and what the file may be, or that only its number of classes is another; nothing is changed then.
void take_network(Parameters& parameters, const std::string& prefix, WeightFile file, const std::string& path, const Network& network,
                  ShortcutZeros zeros = ShortcutZeros::by_names);

}  // namespace distill
