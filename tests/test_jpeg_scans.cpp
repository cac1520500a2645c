// A JPEG's scans: whole ones of every kind decode, those that end early, or lack a part, are refused before the decoder sees them.
#include "data_jpeg_scans.h"

#include <cmath>
#include <string>
#include <vector>

#include "base_files.h"
#include "complaints.h"
#include "data_image.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::vector<std::string> sequential = {"baseline", "optimized", "restarts", "scans", "grey", "cmyk"},
                               progressive = {"progressive", "progressive-bits"};

/// tests/golden/make_jpeg_fixtures.py: 37x29.
std::string fixture(const std::string& name) { return read_file(golden("jpeg/" + name + ".jpg")); }

/// A scan of a JPEG: where its marker, its data and what follows them begin, and every restart marker.
struct Place {
    size_t marker, data, end;
    std::vector<size_t> restarts;
};

std::vector<Place> scans_of(const std::string& jpeg) {
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(jpeg[at]); };
    std::vector<Place> scans;
    for (size_t at = 2; byte(at + 1) != 0xD9;) {
        Place scan{at, at + 2 + 256 * byte(at + 2) + byte(at + 3), 0, {}};
        at = scan.data;
        if (byte(scan.marker + 1) != 0xDA) continue;
        for (; byte(at) != 0xFF || byte(at + 1) < 0xC0 || (byte(at + 1) >= 0xD0 && byte(at + 1) <= 0xD7); ++at)
            if (byte(at) == 0xFF && byte(at + 1) >= 0xD0) scan.restarts.push_back(at);
        scan.end = at;
        scans.push_back(scan);
    }
    return scans;
}

const std::string end_of_image = "\xFF\xD9";
std::string cut(const std::string& jpeg, size_t at) { return jpeg.substr(0, at) + end_of_image; }
std::string without(const std::string& jpeg, size_t begin, size_t end) { return jpeg.substr(0, begin) + jpeg.substr(end); }
std::string with(const std::string& jpeg, size_t at, const std::string& more) { return jpeg.substr(0, at) + more + jpeg.substr(at); }

/// What is said before the decoder sees the image. The import says the same of it.
std::string reason(const std::string& jpeg) {
    const std::string message = complaint([&] { check_jpeg_scans(jpeg); });
    CHECK(says(complaint<BrokenImage>([&] { decode_image(jpeg, "some.jpg"); }),
               {"some.jpg: cannot be decoded (" + message + "), expected a whole JPEG"}));
    return message;
}

}  // namespace

TEST_CASE("JPEG scans: whole images of every kind pass, and decode to what was encoded") {
    const std::vector<uint8_t> expected = decode_image(fixture("baseline"), "x").pixels;
    REQUIRE(expected.size() == 37 * 29 * 3);
    for (const auto& kinds : {sequential, progressive})
        for (const std::string& name : kinds) {
            CAPTURE(name);
            const std::string jpeg = fixture(name);
            check_jpeg_scans(jpeg);
            const Image image = decode_image(jpeg, name);
            if (name != "grey" && name != "cmyk") CHECK(image.pixels == expected);  // their chroma is the same everywhere
            double worst = 0;
            for (int i = 0; i < 37 * 29 * 3; ++i) {
                const int x = i / 3 % 37, y = i / 111, c = name == "grey" ? 1 : i % 3;
                const double value = 118 + 10 * c + 80 * std::sin(x / 3.0) * std::cos(y / 4.0);
                worst = std::max(worst, std::abs(value - image.pixels[static_cast<size_t>(i)]));
            }
            CHECK(worst < 8);
        }
    check_jpeg_scans("BM no JPEG");
    check_jpeg_scans("");
}

TEST_CASE("JPEG scans: data that a marker ends early is refused, wherever it is cut") {
    for (const std::string& name : sequential) {
        CAPTURE(name);
        const std::string jpeg = fixture(name);
        if (name != "scans")  // its last one is shorter
            CHECK(says(reason(cut(jpeg, jpeg.size() - 40)),
                       {text("JPEG, byte ", jpeg.size() - 40, ": found the image's end after "), " of a scan's "}));
        for (const Place& scan : scans_of(jpeg))
            for (size_t at = scan.data; at < scan.end; ++at) {
                CAPTURE(at);
                CHECK(complaint([&] { check_jpeg_scans(cut(jpeg, at)); }) != "");
                CHECK(complaint([&] { check_jpeg_scans(without(jpeg, at, scan.end)); }) != "");
            }
    }
    const std::string jpeg = fixture("baseline");  // 3x2 units of 6 blocks
    CHECK(reason(cut(jpeg, scans_of(jpeg)[0].data)) ==
          text("JPEG, byte ", scans_of(jpeg)[0].data,
               ": found the image's end after 0 of a scan's 36 blocks, expected 36 of them before it"));
    // Where the file ends the decoder says so.
    CHECK(complaint([&] { check_jpeg_scans(jpeg.substr(0, jpeg.size() - 40)); }) == "");
    CHECK(complaint<BrokenImage>([&] { decode_image(jpeg.substr(0, jpeg.size() - 40), "x"); }) != "");
}

TEST_CASE("JPEG scans: a progressive image's scans are whole, each, and the first coefficients come first") {
    for (const std::string& name : progressive) {
        CAPTURE(name);
        const std::string jpeg = fixture(name);
        const std::vector<Place> scans = scans_of(jpeg);
        for (const Place& scan : scans)
            for (size_t at = scan.data; at < scan.end; ++at) {
                CAPTURE(at);
                CHECK(complaint([&] { check_jpeg_scans(cut(jpeg, at)); }) != "");
                CHECK(complaint([&] { check_jpeg_scans(without(jpeg, at, scan.end)); }) != "");
            }
        CHECK(says(reason(without(jpeg, scans[0].marker, scans[0].end)),
                   {"found a scan that goes on with a component, expected one that begins"}));
        const std::string coarse = cut(jpeg, scans[scans.size() - 2].end);  // fewer bits of some coefficients, and no pixel invented
        CHECK(complaint([&] { check_jpeg_scans(coarse); }) == "");
        CHECK(decode_image(coarse, "x").pixels.size() == 37 * 29 * 3);
    }
}

TEST_CASE("JPEG scans: every component has one") {
    for (const auto& kinds : {sequential, progressive})
        for (const std::string& name : kinds) {
            CAPTURE(name);
            const std::string jpeg = fixture(name);
            const size_t at = scans_of(jpeg)[0].marker;
            CHECK(says(reason(cut(jpeg, at)), {text("JPEG, byte ", at, ": found the image's end, expected a scan of component 1 of ")}));
        }
    const std::string jpeg = fixture("scans");
    const std::vector<Place> scans = scans_of(jpeg);
    REQUIRE(scans.size() == 3);
    for (size_t i = 1; i < 3; ++i)
        CHECK(
            says(reason(without(jpeg, scans[i].marker, scans[i].end)), {text("expected a scan of component ", i + 1, " of 3 before it")}));
}

TEST_CASE("JPEG scans: a scan has a component once") {
    std::string jpeg = fixture("baseline");
    const size_t names = scans_of(jpeg)[0].marker + 5;  // one byte in two
    jpeg[names + 2] = jpeg[names];
    CHECK(reason(jpeg) == text("JPEG, byte ", names - 1, ": found a scan that has a component twice, expected each once"));
}

TEST_CASE("JPEG scans: restart intervals are all there, in order") {
    const std::string jpeg = fixture("restarts");  // 3x4 units of 4 blocks, each an interval
    const Place scan = scans_of(jpeg)[0];
    const std::vector<size_t>& at = scan.restarts;
    REQUIRE(at.size() == 11);
    CHECK(says(reason(without(jpeg, at[3], at[4])),
               {text("byte ", at[3], ": found restart marker 4 after 16 of a scan's 48 blocks, expected restart marker 3")}));
    CHECK(
        says(reason(without(jpeg, at[10], scan.end)), {"found the image's end after 44 of a scan's 48 blocks, expected restart marker 2"}));
    CHECK(says(reason(without(jpeg, at[1], at[9])), {"found the image's end after 16 of a scan's 48 blocks"}));  // their numbers fit
    CHECK(says(reason(without(jpeg, scan.data, at[0])),
               {"found restart marker 0 after 0 of a scan's 48 blocks, expected 4 of them before it"}));
    std::string swapped = without(jpeg, at[5], at[6]);
    swapped.insert(at[4], jpeg.substr(at[5], at[6] - at[5]));
    CHECK(says(reason(swapped), {"found restart marker 5 after 20 of a scan's 48 blocks, expected restart marker 4"}));

    // Of a scan of one component an interval counts that one's own blocks, however many units the image has.
    const std::string alone = fixture("scans");
    for (const Place& each : scans_of(alone))
        for (const size_t restart : each.restarts) CHECK(says(reason(without(alone, restart, restart + 2)), {" of a scan's "}));
    // Nor has a scan restart markers where no interval is told.
    const Place plain = scans_of(fixture("baseline"))[0];
    CHECK(says(reason(with(fixture("baseline"), plain.data + 30, "\xFF\xD0")), {"found restart marker 0 after "}));

    // Fill bytes, two bytes of padding, and what follows the last block.
    const Image whole = decode_image(jpeg, "x");
    for (const std::string& more : {std::string("\xFF\xFF"), std::string("\x7F"), std::string("\0\0", 2)})
        CHECK(decode_image(with(jpeg, at[5], more), "x").pixels == whole.pixels);
    CHECK(says(reason(with(jpeg, at[5], "long.")), {"found restart marker 5 after 24 of a scan's 48 blocks, expected it 5 bytes before"}));
    CHECK(decode_image(with(jpeg, scan.end, "long."), "x").pixels == whole.pixels);
    CHECK(decode_image(with(jpeg, scan.end, "\xFF\xD3"), "x").pixels == whole.pixels);
}

TEST_SUITE_END();
