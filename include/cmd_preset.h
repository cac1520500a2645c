// cmd_preset.h: --preset: a row of data/paper as a training's options. What a row means each paper's own function says.
// defines: kin_of_kd, is_kin_of_kd, Preset
#pragma once
#include <string>
#include <vector>

#include "paper.h"
#include "train_options.h"

namespace distill {

/// What a --method of `kd` may be. The list is closed: a method has a subcommand of its own, and what `kd --method NAME` began goes on
/// with either.
const std::vector<std::string>& kin_of_kd();
bool is_kin_of_kd(const std::string& method);

class Preset {
  public:
    /// The row with this id. InputError naming the nearest ids if there is none.
    Preset(OptionTable& table, const std::string& id);
    const PaperRow& row() const { return row_; }

    /// InputError unless the row belongs to this subcommand; `belongs` is empty for a number that is on file only. A row of `kd`'s kin
    /// belongs to the subcommand of its method, too.
    void require(const std::string& subcommand, const std::string& belongs) const;

    void set(const std::string& option, const std::string& value);  ///< unless it was given by hand
    void set_recipe(Options& options, const std::string& recipe);
    void set_subject();  ///< id, data set and the network to train: of a row of method `teacher` the teacher

  private:
    OptionTable& table_;
    PaperRow row_;
    std::string origin_;  ///< as OptionTable::set names it
};

}  // namespace distill
