// cmd_preset.h: --preset: a row of data/paper as a training's options. What a row means each paper's own function says.
// defines: Preset
#pragma once
#include <string>

#include "paper.h"
#include "train_recipes.h"

namespace distill {

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
