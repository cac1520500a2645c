#include "net_name.h"

#include <algorithm>

namespace distill {

NetworkName network_name(const std::string& whole) {
    const std::string suffix = "-tiny";
    const size_t base = whole.size() > suffix.size() ? whole.size() - suffix.size() : 0;
    const bool tiny = base > 0 && whole.compare(base, std::string::npos, suffix) == 0;
    return {whole, tiny ? whole.substr(0, base) : whole, tiny};
}

bool NameReader::word(const std::string& word) {
    const bool there = name_.compare(at_, word.size(), word) == 0;
    if (there) at_ += word.size();
    return there;
}

int NameReader::number() {
    int value = 0;
    for (const size_t end = std::min(name_.size(), at_ + 4); at_ < end && name_[at_] >= '0' && name_[at_] <= '9'; ++at_)
        value = 10 * value + (name_[at_] - '0');
    return value;
}

}  // namespace distill
