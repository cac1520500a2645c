// markup.h: checks on SVG and HTML.
// defines: testing::balanced, testing::count
#pragma once
#include <string>
#include <vector>

namespace distill::testing {

/// Whether every tag that opens closes, in order; HTML's <meta> and <br> aside, which never do.
inline bool balanced(const std::string& markup) {
    std::vector<std::string> open;
    for (size_t at = markup.find('<'); at != std::string::npos; at = markup.find('<', at + 1)) {
        const size_t end = markup.find('>', at);
        if (end == std::string::npos) return false;
        const std::string tag = markup.substr(at + 1, end - at - 1), name = tag.substr(0, tag.find(' '));
        if (name[0] == '/') {
            if (open.empty() || "/" + open.back() != name) return false;
            open.pop_back();
        } else if (tag.back() != '/' && name != "meta" && name != "br" && name[0] != '!') {
            open.push_back(name);
        }
    }
    return open.empty();
}

inline size_t count(const std::string& all, const std::string& part) {
    size_t n = 0;
    for (size_t at = all.find(part); at != std::string::npos; at = all.find(part, at + 1)) ++n;
    return n;
}

}  // namespace distill::testing
