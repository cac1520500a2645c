#include "data_class_order.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base_error.h"
#include "base_texts.h"

namespace distill {

using nlohmann::json;

std::string class_names_text(const std::vector<std::string>& names) {
    return names.empty() ? "" : json(names).dump(-1, ' ', false, json::error_handler_t::replace);
}

ClassOrder compare_classes(const std::map<std::string, std::string>& metadata, const Dataset& data) {
    const auto found = metadata.find("class_names");
    if (found == metadata.end() || data.class_names.empty()) return {};
    const json there = json::parse(found->second, nullptr, false);
    const bool good = there.is_array() && std::all_of(there.begin(), there.end(), [](const json& name) { return name.is_string(); });
    if (!good) return {};  // somebody else's idea of this key
    for (size_t c = 0; c < std::min<size_t>(there.size(), data.class_names.size()); ++c)
        if (const std::string name = there[c].get<std::string>(); name != data.class_names[c])
            return {true,
                    text("class ", c, " is ", printable(name), " there, ", printable(data.class_names[c]), " in data set ", data.name)};
    if (there.size() != data.class_names.size())
        return {true, text(there.size(), " classes there, ", data.class_names.size(), " in data set ", data.name)};
    return {true, ""};
}

}  // namespace distill
