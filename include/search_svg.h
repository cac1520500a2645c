// search_svg.h: a search as one picture.
// defines: search_svg
#pragma once
#include <string>

#include "search_history.h"

namespace distill {

/// Self-contained, for a file or inside an HTML page, light or dark as the reader's page is: the accuracy of each trial in the order of
/// their end with the best so far, how many survived each rung, and how often the best tenth made each choice beside all trials.
std::string search_svg(const SearchHistory& history);

}  // namespace distill
