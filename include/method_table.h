// method_table.h: the methods, one a row: what else there is of them (subcommands, --method, benchmarks, contract tests) follows from here.
// defines: methods, find_method, ChosenMethod, choose, role_of, places_of, is_circumstance, is_left_open, may_change
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "method.h"
#include "train_option_table.h"

namespace distill {

const std::vector<const MethodRow*>& methods();
const MethodRow* find_method(const std::string& name);  ///< null if there is none

/// A row with its options.
struct ChosenMethod {
    const MethodRow* row;
    std::shared_ptr<MethodOptions> options;
};
ChosenMethod choose(const MethodRow& row);  ///< with its defaults

/// The role that an option of a training has, by its name in config.csv; substance for a name that none has.
Role role_of(const std::string& option);
/// Where paths stand in its value, likewise.
Places places_of(const std::string& option);
/// Does a row of config.csv say where, by what, how watchfully or as a part of what a run was made, but not what was run? (Of --data and
/// --per-class the images count, info.data_sha256.)
bool is_circumstance(const std::string& option);
/// Does this value of a training's option stand for "choose for me"?
bool is_left_open(const std::string& option, const std::string& value);
/// May a run that goes on have another value in this row of config.csv than in its checkpoint? Places, by what it runs, and its end, which
/// a longer one passes through, with what that makes of the recipe.
bool may_change(const std::string& option);

}  // namespace distill
