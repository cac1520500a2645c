#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base_error.h"
#include "base_files.h"
#include "complaints.h"
#include "testing.h"
#include "train_checkpoint.h"

using namespace distill;
using distill::testing::complaint;
using distill::testing::says;
using distill::testing::TempFolder;

TEST_SUITE_BEGIN("no kernels");

namespace {

Checkpoint sample() {
    Checkpoint c;
    c.text = {{"config", "epochs,3\nseed,1\n"}, {"", "an empty name"}, {"binary", std::string("\0\n\xff", 3)}, {"empty", ""}};
    c.floats = {{"conv1.weight", {0.1f, -0.0f, 1e-45f, std::numeric_limits<float>::infinity()}}, {"none", {}}};
    c.counters = {{"step", 391}, {"least", std::numeric_limits<int64_t>::min()}};
    return c;
}

std::string refusal(const fs::path& path) {
    return complaint([&] { read_checkpoint(path); });
}

}  // namespace

TEST_CASE("checkpoint: what is written reads back, bit for bit") {
    TempFolder folder;
    const Checkpoint c = sample();
    write_checkpoint(folder / "c", c);
    const Checkpoint again = read_checkpoint(folder / "c");
    CHECK(again.text == c.text);
    CHECK(again.counters == c.counters);
    CHECK(again.floats == c.floats);
    CHECK(std::signbit(again.floats.at("conv1.weight")[1]));
    CHECK_FALSE(fs::exists(folder / "c.tmp"));
    write_checkpoint(folder / "twice", again);
    CHECK(read_file(folder / "c") == read_file(folder / "twice"));
    write_checkpoint(folder / "c", {});  // over the old one
    CHECK(read_checkpoint(folder / "c").text.empty());
}

TEST_CASE("checkpoint: NaN payloads survive") {
    TempFolder folder;
    const uint32_t bits = 0xffc12345;
    Checkpoint c;
    c.floats["x"].resize(1);
    std::memcpy(c.floats["x"].data(), &bits, sizeof bits);
    write_checkpoint(folder / "c", c);
    const Checkpoint again = read_checkpoint(folder / "c");
    CHECK(std::memcmp(again.floats.at("x").data(), &bits, sizeof bits) == 0);
}

TEST_CASE("checkpoint: cut at every byte, or longer than it says") {
    TempFolder folder;
    const fs::path path = folder / "c";
    write_checkpoint(path, sample());
    const std::string whole = read_file(path);
    for (size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        testing::put_file(path, whole.substr(0, length));
        CHECK(says(refusal(path),
                   {path.string() + ": ", length < 8 ? "not a checkpoint" : "cut short", "start the run again in another folder"}));
    }
    testing::put_file(path, whole + '0');
    CHECK(says(refusal(path), {"bytes were added"}));
}

TEST_CASE("checkpoint: every byte flipped, in one bit and in all") {
    TempFolder folder;
    const fs::path path = folder / "c";
    write_checkpoint(path, sample());
    const std::string whole = read_file(path);
    for (size_t place = 0; place < whole.size(); ++place)
        for (const int flip : {1 << place % 8, 0xff}) {
            CAPTURE(place);
            std::string damaged = whole;
            damaged[place] = static_cast<char>(damaged[place] ^ flip);
            testing::put_file(path, damaged);
            const char* found_by = place < 8 ? "not a checkpoint" : place < 16 ? "checkpoint version" : place < 24 ? "payload" : "damaged";
            CHECK(says(refusal(path), {found_by}));
        }
}

TEST_CASE("checkpoint: garbage, with and without a valid frame around it") {
    TempFolder folder;
    const fs::path path = folder / "c";
    std::mt19937 random(1);
    for (int round = 0; round < 50; ++round) {
        std::string garbage(random() % 300, '\0');
        for (char& byte : garbage) byte = static_cast<char>(random());
        testing::put_file(path, garbage);
        CHECK_THROWS_AS(read_checkpoint(path), InputError);

        // Framed and signed as a checkpoint is: the entries' own lengths must be doubted.
        const uint64_t version = 1, length = garbage.size();
        std::string framed = "DISTILL\n";
        framed.append(reinterpret_cast<const char*>(&version), 8).append(reinterpret_cast<const char*>(&length), 8);
        framed += garbage;
        framed += sha256_hex(framed);
        testing::put_file(path, framed);
        CHECK(says(refusal(path), {"entries do not add up"}));
    }
}

TEST_CASE("checkpoint: a missing file, and a folder that is not there") {
    TempFolder folder;
    CHECK(says(refusal(folder / "nowhere"), {"nowhere: cannot be read"}));
    CHECK_THROWS_AS(write_checkpoint(folder / "no" / "c", sample()), InputError);
}

TEST_SUITE_END();
