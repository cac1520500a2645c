#include "net_name.h"

#include <algorithm>
#include <utility>

namespace distill {

NetworkName network_name(const std::string& whole) {
    const std::string suffix = "-tiny";
    const size_t base = whole.size() > suffix.size() ? whole.size() - suffix.size() : 0;
    const bool tiny = base > 0 && whole.compare(base, std::string::npos, suffix) == 0;
    return {whole, tiny ? whole.substr(0, base) : whole, tiny};
}

std::string without_aliases(const std::string& said) {
    static const std::pair<const char*, const char*> aliases[] = {
        {"mobilenetv2", "MobileNetV2"}, {"shufflenetv1", "ShuffleV1"}, {"shufflenetv2", "ShuffleV2"}};
    std::string all;
    for (size_t at = 0;;) {
        const size_t end = std::min(said.find_first_of(",=+", at), said.size());
        std::string name = said.substr(at, end - at);
        if (name.rfind("wrn_", 0) == 0) std::replace(name.begin(), name.end(), '_', '-');  // as the CRD benchmark's code has them
        for (const auto& [alias, known] : aliases)
            if (name == alias) name = known;
        all += name;
        if (end == said.size()) return all;
        all += said[end];
        at = end + 1;
    }
}

bool NameReader::word(const std::string& word) {
    const bool there = name_.compare(at_, word.size(), word) == 0;
    if (there) at_ += word.size();
    return there;
}

int NameReader::number() {
    int value = 0;
    if (at_ < name_.size() && name_[at_] == '0') return value;  // "resnet020" would be another name of resnet20
    for (const size_t end = std::min(name_.size(), at_ + 4); at_ < end && name_[at_] >= '0' && name_[at_] <= '9'; ++at_)
        value = 10 * value + (name_[at_] - '0');
    return value;
}

}  // namespace distill
