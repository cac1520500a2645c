#include "data_twins.h"

#include <algorithm>
#include <tuple>

#include "base_error.h"
#include "base_files.h"

namespace distill {

ImageDigest digest_of(const uint8_t* pixels, size_t bytes) {
    const std::string hex = sha256_hex({reinterpret_cast<const char*>(pixels), bytes});
    return {std::stoull(hex.substr(0, 16), nullptr, 16), std::stoull(hex.substr(16, 16), nullptr, 16)};
}

Twins::Twins(const Dataset& data) {
    const size_t size = size_t(data.height) * size_t(data.width) * 3;
    for (const Split* part : {&data.train, &data.test})
        for (size_t i = 0; i < size_t(part->records); ++i)
            add(digest_of(&part->pixels[i * size], size), part->labels[i], part == &data.test);
}

Twins::Counts Twins::count() {
    std::sort(all_.begin(), all_.end(),
              [](const Entry& a, const Entry& b) { return std::tie(a.digest, a.label) < std::tie(b.digest, b.label); });
    Counts counts;
    for (auto first = all_.begin(); first != all_.end();) {
        const auto end = std::find_if(first, all_.end(), [&](const Entry& e) { return e.digest != first->digest; });
        const auto tests = std::count_if(first, end, [](const Entry& e) { return e.test; });
        if (tests < end - first) counts.test_in_train += tests;
        counts.two_labels += first->label != (end - 1)->label;
        first = end;
    }
    return counts;
}

std::vector<std::string> warnings_of(const Twins::Counts& c) {
    std::vector<std::string> lines;
    if (c.test_in_train > 0)
        lines.push_back(text("warning: ", c.test_in_train,
                             " of the test images are among the training images, too, pixel for pixel: the test ",
                             "accuracy is too good by them"));
    if (c.two_labels > 0)
        lines.push_back(
            text("warning: ", c.two_labels, " images stand under more than one label, pixel for pixel: no network can be right on all"));
    return lines;
}

}  // namespace distill
