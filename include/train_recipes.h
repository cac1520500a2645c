// train_recipes.h: how a group of authors trains everything: schedule, normalisation and weights, as data (docs/papers.md §7).
// defines: Recipe, rate_of, recipes, find_recipe, recipe_names
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace distill {

struct Recipe {
    const char *name, *source;
    int epochs;
    const char* lr_steps;
    double lr, lower_lr;  ///< lower_lr: of students whose row of the network table asks for it (NetworkRow::lower_rate)
    int64_t batch;
    bool nesterov, drop_last;
    const char *crop_pad, *normalize;  ///< normalize: what auto means on the official sets
    struct Weight {
        const char *method, *option, *value;
    };
    std::vector<Weight> weights = {};  ///< of methods whose own defaults are another group's
    double weight_decay = 5e-4;
};

/// The learning rate by which the recipe trains this network; empty: any that asks for no other. InputError as network_row().
double rate_of(const Recipe& recipe, const std::string& network);

const std::vector<Recipe>& recipes();
const Recipe& find_recipe(const std::string& name);  ///< InputError listing them for an unknown one
std::vector<std::string> recipe_names();

}  // namespace distill
