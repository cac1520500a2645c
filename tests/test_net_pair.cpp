// Which networks a method can pair, and what is said of those that it cannot.
#include "net_pair.h"

#include "complaints.h"
#include "gradcheck.h"
#include "net_table.h"

using namespace distill;
using namespace distill::testing;

namespace {

std::string refusal(const char* teacher, const char* student, const std::vector<Need>& needs, const Shape& image = {}) {
    return complaint([&] { require_pair("m", teacher, student, needs, image); });
}

constexpr Shape image32{1, 32, 32, 3};

}  // namespace

TEST_CASE("pairs: the first need that is not met is said, with what both have") {
    const auto says_all = [](const std::string& message, std::vector<std::string> parts) {
        parts.push_back(" do not pair: ");
        parts.push_back("; name ");
        return says(message, parts);
    };
    CHECK(
        says_all(refusal("vgg7-mhgd", "resnet8", {Need::as_many_stages}), {"m: teacher vgg7-mhgd and student resnet8", "5 and 3 stages"}));
    CHECK(says_all(refusal("vgg7-mhgd", "vgg7-mhgd", {Need::pooled_vector}), {"vgg7-mhgd has no pooled vector"}));
    CHECK(says_all(refusal("resnet8x4", "resnet8", {Need::two_stages, Need::same_channels}), {"stage 1", "64 and 16 channels"}));
    CHECK(says_all(refusal("resnet20", "wrn-10-1-tiny", {Need::same_channels, Need::same_sizes}, image32), {"stage 1", "32x32 and 16x16"}));
    CHECK(says_all(refusal("resnet20", "resnet8", {Need::sizes_by_halving}, {1, 18, 18, 3}),
                   {"maps of resnet20 at stages 2 and 3", "9x9 and 5x5", "halving"}));
    CHECK(says(refusal("vgg16-mhgd", "vgg7-mhgd", {}, {1, 64, 64, 3}), {"vgg16-mhgd: the images are 64x64", "vgg16-mhgd-tiny"}));
    CHECK(says(refusal("resnet20", "resnet9", {}), {"unknown network 'resnet9'"}));
}

TEST_CASE("pairs: what meets every need") {
    const std::vector<Need> all{Need::two_stages, Need::same_channels, Need::same_sizes, Need::sizes_by_halving};
    CHECK(refusal("vgg16-mhgd", "vgg7-mhgd", all, image32).empty());
    CHECK(refusal("wrn-22-4", "mobilenet-mhgd", all, image32).empty());
    CHECK(refusal("wrn-22-4", "mobilenet-mhgd", {Need::pooled_vector}).empty());
    CHECK(refusal("vgg13", "resnet8", {Need::pooled_vector}).empty());  // of 4 stages and 3, which nobody asks about
    CHECK(refusal("resnet32x4", "wrn-16-2", {Need::pooled_vector, Need::same_sizes}, image32).empty());            // of other widths
    CHECK(refusal("wrn-10-4-tiny", "vggm-mhgd", {Need::same_channels, Need::sizes_by_halving}, image32).empty());  // of other sizes
}

TEST_CASE("pairs: of unlike depth as many stages are compared as both have, and a note says so") {
    Parameters parameters(cpu(), false);
    const auto three = make_network("resnet8", 10, parameters, "three."), four = make_network("vgg8", 10, parameters, "four.");
    std::vector<std::string> notes;
    CHECK(pair_stages(*three, *three, notes) == 3);
    CHECK(notes.empty());
    CHECK(pair_stages(*three, *four, notes) == 3);
    CHECK(pair_stages(*four, *three, notes) == 3);
    CHECK(notes == std::vector<std::string>{"teacher resnet8 has 3 stages and student vgg8 4; the first 3 are compared",
                                            "teacher vgg8 has 4 stages and student resnet8 3; the first 3 are compared"});
}

TEST_CASE("pairs: sizes are asked for with an image") {
    CHECK_THROWS_WITH_AS(require_pair("m", "resnet8", "resnet8", {Need::same_sizes}), doctest::Contains("--->"), std::runtime_error);
}
