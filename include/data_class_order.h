// data_class_order.h: whether the classes that a weight file was trained on are the data set's, in its order.
// defines: class_names_text, ClassOrder, compare_classes
#pragma once
#include <map>
#include <string>
#include <vector>

#include "dataset.h"

namespace distill {

/// Names by label as a weight file's metadata have them, under "class_names": a JSON array. Empty if there are none.
std::string class_names_text(const std::vector<std::string>& names);

struct ClassOrder {
    bool known = false;      ///< both the file and the data set say what their classes are
    std::string difference;  ///< the first one: "class 3 is dog there, cat in data set pets"; empty: none is known
};
ClassOrder compare_classes(const std::map<std::string, std::string>& metadata, const Dataset& data);

}  // namespace distill
