#include "train_recipes.h"

#include "base_error.h"
#include "base_texts.h"
#include "net_table.h"

namespace distill {
namespace {

constexpr const char* of_reviewkd = "125.3,123.0,113.9,63.0,62.1,66.7";  // docs/papers.md §5.7

}  // namespace

const std::vector<Recipe>& recipes() {
    static const std::vector<Recipe> all = {
        {"reviewkd", "docs/papers.md §5.7", 240, "150,180,210", 0.1, 0.02, 128, true, false, "zero", of_reviewkd},
        // The CRD benchmark's schedule (§7), on which ReviewKD's tables compare, with ReviewKD's normalisation; and with its own, its
        // script's weights and lengths, and its forms of what others have, too.
        {"kd", "docs/papers.md §7", 240, "150,180,210", 0.05, 0.01, 64, false, false, "zero", of_reviewkd},
        {"crd",
         "docs/papers.md §7; HobbitLong/RepDistiller b84f547",
         240,
         "150,180,210",
         0.05,
         0.01,
         64,
         false,
         false,
         "zero",
         "129.3105,124.1085,112.404,68.2125,65.4075,70.4055",
         {{"ft", "benchmark-form", "on"},
          {"ft", "beta", "200"},
          {"ft", "paraphraser-lr", "0"},
          {"fsp", "benchmark-form", "on"},
          {"fsp", "init-epochs", "30"},
          {"ab", "benchmark-form", "on"},
          {"ab", "init-epochs", "30"},
          {"kd-svd", "benchmark-form", "on"}}},
        {"feed", "docs/papers.md §3.7", 200, "100,150", 0.1, 0.1, 128, false, false, "zero", of_reviewkd},
        {"mhgd", "docs/papers.md §4.8", 100, "30,60,80", 0.1, 0.1, 128, true, false, "reflect",
         "112.4776,124.1058,129.3773,70.4587,65.4312,68.2094"},
        {"ktg", "docs/papers.md §2.6, graphs", 200, "59,119,179", 0.1, 0.1, 64, true, true, "reflect", "none"},
        {"ffsd",
         "docs/papers.md §6.19",
         299,
         "150,225",
         0.1,
         0.1,
         128,
         true,
         false,
         "reflect",
         "129.3105,124.0575,112.4295,68.1615,65.382,70.431",
         {},
         1e-4},
        {"ktg-alone", "docs/papers.md §2.6, networks alone", 200, "59,119,179", 0.1, 0.1, 128, true, true, "reflect", "none"},
    };
    return all;
}

double rate_of(const Recipe& recipe, const std::string& network) {
    return network.empty() || !network_row(network).lower_rate ? recipe.lr : recipe.lower_lr;
}

const Recipe& find_recipe(const std::string& name) {
    for (const Recipe& recipe : recipes())
        if (recipe.name == name) return recipe;
    input_error("recipe '", name, "': there is none of this name; there are: ", joined(recipe_names()));
}

std::vector<std::string> recipe_names() {
    std::vector<std::string> names;
    for (const Recipe& recipe : recipes()) names.emplace_back(recipe.name);
    return names;
}

}  // namespace distill
