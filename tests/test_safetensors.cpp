#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "base_error.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "complaints.h"
#include "testing.h"

using namespace distill;
using distill::testing::complaint;
using distill::testing::put_file;
using distill::testing::says;
using distill::testing::TempFolder;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// A file with this header (its length before it, as it is) and this many data bytes.
void write_raw(const fs::path& path, const std::string& header, size_t data_bytes = 0) {
    const uint64_t length = header.size();
    testing::put_file(path, std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data_bytes, '\0'));
}

std::string refusal(const fs::path& path) {
    return complaint([&] { read_safetensors(path); });
}

WeightFile sample() {
    WeightFile weights;
    weights.tensors["fc.weight"] = {{2, 3}, {1.0f, -2.5f, 1e-45f, 3.4e38f, 0.1f, -0.0f}};
    weights.tensors["bn.bias"] = {{1}, {7.0f}};
    weights.tensors["a.scalar"] = {{}, {0.333333343f}};
    weights.tensors["none"] = {{0, 5}, {}};
    weights.metadata = {{"network", "resnet20"}, {"note", "quotes \" and \xC3\xBC, \n lines"}};
    return weights;
}

std::string output_of(const std::string& command) {
    std::string output;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    if (!pipe) return output;
    std::array<char, 256> chunk;
    while (std::fgets(chunk.data(), chunk.size(), pipe)) output += chunk.data();
    return ::pclose(pipe) == 0 ? output : "";
}

}  // namespace

TEST_CASE("safetensors: what is written reads back, bit for bit") {
    TempFolder folder;
    const WeightFile weights = sample();
    write_safetensors(folder / "w", weights);
    const WeightFile again = read_safetensors(folder / "w");
    CHECK(again.metadata == weights.metadata);
    REQUIRE(again.tensors.size() == weights.tensors.size());
    for (const auto& [name, tensor] : weights.tensors) {
        CAPTURE(name);
        REQUIRE(again.tensors.count(name) == 1);
        const HostTensor& read = again.tensors.at(name);
        CHECK(read.shape == tensor.shape);
        REQUIRE(read.data.size() == tensor.data.size());
        if (!tensor.data.empty()) CHECK(std::memcmp(read.data.data(), tensor.data.data(), 4 * tensor.data.size()) == 0);
    }
    write_safetensors(folder / "twice", again);
    CHECK(read_file(folder / "w") == read_file(folder / "twice"));
    CHECK_FALSE(fs::exists(folder / "w.tmp"));
}

TEST_CASE("safetensors: the file is laid out as the format says") {
    TempFolder folder;
    write_safetensors(folder / "w", {{{"b", {{2}, {1, 2}}}, {"a", {{1}, {3}}}}, {}});
    const std::string bytes = read_file(folder / "w");
    uint64_t length;
    std::memcpy(&length, bytes.data(), 8);
    CHECK(length % 8 == 0);
    const std::string header = bytes.substr(8, length);
    CHECK(header.substr(0, header.find_last_not_of(' ') + 1) ==
          R"({"a":{"data_offsets":[0,4],"dtype":"F32","shape":[1]},"b":{"data_offsets":[4,12],"dtype":"F32","shape":[2]}})");
    REQUIRE(bytes.size() == 8 + length + 12);
    float data[3];
    std::memcpy(data, bytes.data() + 8 + length, 12);
    CHECK(data[0] == 3);
    CHECK(data[1] == 1);
    CHECK(data[2] == 2);
}

TEST_CASE("safetensors: a values count that does not fit the shape is refused before writing") {
    TempFolder folder;
    CHECK_THROWS_AS(write_safetensors(folder / "w", {{{"a", {{3}, {1, 2}}}}, {}}), std::runtime_error);
    CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("safetensors: a counter of any type is passed over, as it is in PyTorch's files; what is kept has the types that are read") {
    const TempFolder folder;
    const auto header = [](const char* counter, const char* kept) {
        return text(R"({"bn.bias":{"dtype":")", kept, R"(","shape":[1],"data_offsets":[0,4]},)", R"("bn.num_batches_tracked":{"dtype":")",
                    counter, R"(","shape":[],"data_offsets":[4,8]}})");
    };
    write_raw(folder / "w", header("I32", "F32"), 8);
    CHECK(read_safetensors(folder / "w").tensors.size() == 1);
    write_raw(folder / "w", header("U8", "F32"), 8);
    CHECK(says(refusal(folder / "w"), {"span 4 bytes, expected 1 for U8"}));
    write_raw(folder / "w", header("F8", "F32"), 8);
    CHECK(says(refusal(folder / "w"), {"dtype \"F8\", expected F32, F16"}));
    write_raw(folder / "w", header("I32", "I32"), 8);
    CHECK(says(refusal(folder / "w"), {"tensor \"bn.bias\": dtype \"I32\", expected F32, F16"}));
}

TEST_CASE("safetensors: an independent writer's file: prefix, counters, other types") {
    const WeightFile weights = read_safetensors(testing::golden("tiny.safetensors"));
    CHECK(weights.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"network", "resnet8"}});
    CHECK(weights.tensors.size() == 6);
    CHECK(weights.tensors.count("bn1.num_batches_tracked") == 0);
    const auto check = [&](const char* name, std::vector<int64_t> shape, std::vector<float> values) {
        CAPTURE(name);
        REQUIRE(weights.tensors.count(name) == 1);
        CHECK(weights.tensors.at(name).shape == shape);
        CHECK(weights.tensors.at(name).data == values);
    };
    check("conv1.weight", {2, 1, 1, 2}, {0.5f, -1.25f, 3e-45f, 1e38f});
    check("bn1.weight", {6}, {1.0f, -0.333251953125f, 65504.0f, std::ldexp(1.0f, -24), std::ldexp(1.0f, -14), -0.0f});
    check("bn1.bias", {3}, {1.0f, -2.5f, std::ldexp(1.0f, -130)});
    check("fc.weight", {2, 1}, {0.1f, -1e38f});
    check("scale", {2}, {-3.0f, 1099511627776.0f});
    check("empty", {0, 4}, {});
    CHECK(std::signbit(weights.tensors.at("bn1.weight").data[5]));
}

TEST_CASE("safetensors: an independent reader reads ours") {
    if (output_of("python3 -c 'print(1)' 2>/dev/null") != "1\n") return testing::skip("no python3");
    TempFolder folder;
    WeightFile weights = sample();
    weights.metadata = {{"network", "resnet20"}};
    write_safetensors(folder / "w", weights);
    CHECK(output_of("python3 '" + testing::golden("tiny_safetensors.py").string() + "' '" + (folder / "w").string() + "'") ==
          "a.scalar [] 0.333333343\n"
          "bn.bias [1] 7\n"
          "fc.weight [2,3] 1 -2.5 1.40129846e-45 3.39999995e+38 0.100000001 -0\n"
          "none [0,5]\n"
          "@network resnet20\n");
}

TEST_CASE("safetensors: a file cut at any byte, or with any bytes added, is an input error") {
    TempFolder folder;
    const fs::path path = folder / "w";
    write_safetensors(path, sample());
    const std::string whole = read_file(path);
    for (size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        testing::put_file(path, whole.substr(0, length));
        CHECK_THROWS_AS(read_safetensors(path), InputError);
    }
    testing::put_file(path, whole + "x");
    CHECK(says(refusal(path), {"1 bytes after the last tensor, expected none"}));
}

TEST_CASE("safetensors: a flipped byte in the header or its length never does worse than an input error") {
    TempFolder folder;
    const fs::path path = folder / "w";
    write_safetensors(path, sample());
    const std::string whole = read_file(path);
    uint64_t length;
    std::memcpy(&length, whole.data(), 8);
    size_t refused = 0;
    for (size_t place = 0; place < 8 + length; ++place)
        for (const int flip : {0x01, 0x20, 0x80, 0xff}) {
            std::string damaged = whole;
            damaged[place] = static_cast<char>(damaged[place] ^ flip);
            testing::put_file(path, damaged);
            refused += !refusal(path).empty();  // any other exception fails the case
        }
    CHECK(refused > 2 * length);  // a changed letter within a name is a valid file of another name
}

TEST_CASE("safetensors: every kind of bad header says what, where and what was expected") {
    TempFolder folder;
    const fs::path path = folder / "w";
    const auto message = [&](const std::string& header, size_t data_bytes = 0) {
        write_raw(path, header, data_bytes);
        const std::string text = refusal(path);
        CAPTURE(text);
        CHECK(text.compare(0, path.string().size() + 2, path.string() + ": ") == 0);
        CHECK(says(text, {"expected"}));
        return text;
    };
    const auto tensor = [](const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
        return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
    };

    testing::put_file(path, "short");
    CHECK(says(refusal(path), {"found 5 bytes, expected a safetensors file"}));
    testing::put_file(path, "\xff\xff\xff\xff\xff\xff\xff\xff{}");
    CHECK(says(refusal(path), {"offset 0: the header should have 18446744073709551615 bytes, but only 2 follow"}));
    testing::put_file(path, "<!DOCTYPE html><html>an error page, saved by mistake</html>");
    CHECK(says(refusal(path), {"offset 0: the header should have"}));

    write_raw(path, "{\"t\":nonsense}");
    CHECK(says(refusal(path), {"offset 14: the header is not valid JSON"}));
    CHECK(says(message("[1]"), {"offset 8: the header is a JSON array, expected an object"}));
    CHECK(says(message(R"({"t":3})"), {"tensor \"t\": no dtype"}));
    CHECK(says(message(R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", 4), {"no shape"}));
    CHECK(says(message(R"({"t":{"dtype":"F32","shape":[1]}})", 4), {"no data_offsets"}));
    CHECK(says(message(tensor("[1]", "[0,4]", "C64"), 4), {"dtype \"C64\", expected F32, F16, BF16, F64 or I64"}));
    CHECK(says(message(tensor("[-1]", "[0,4]"), 4), {"shape [-1]"}));
    CHECK(says(message(tensor("[1.0]", "[0,4]"), 4), {"shape [1.0]"}));
    CHECK(says(message(tensor("\"x\"", "[0,4]"), 4), {"shape \"x\""}));
    CHECK(says(message(tensor("[1]", "[0]"), 4), {"data_offsets [0], expected [begin, end]"}));
    CHECK(says(message(tensor("[1]", "[0,-4]"), 4), {"expected [begin, end]"}));
    CHECK(says(message(tensor("[1]", "[4,0]"), 4), {"expected 0 <= begin <= end <= 4"}));
    CHECK(says(message(tensor("[2]", "[0,8]"), 4), {"expected 0 <= begin <= end <= 4"}));
    CHECK(says(message(tensor("[2]", "[0,4]"), 4), {"span 4 bytes, expected 8 for F32 of shape [2]"}));
    CHECK(says(message(tensor("[1]", "[4,8]"), 8), {"begins at offset 4 of the data, expected 0"}));
    const std::string empty = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
    const std::string overlap = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
    CHECK(says(message(overlap, 8), {"tensor \"b\": begins at offset 4 of the data, expected 8"}));
    CHECK(says(message("{\"t\":" + empty + ",\"t\":" + empty + "}"), {"names \"t\" twice"}));
    CHECK(says(message("{\"t\":" + empty + ",\"module.t\":" + empty + "}"), {"holds \"t\" both with and without a prefix like module."}));
    CHECK(says(message(R"({"__metadata__":{"seed":1}})"), {"__metadata__, \"seed\": found a JSON number, expected a string"}));
    CHECK(says(message(R"({"__metadata__":[]})"), {"__metadata__: found a JSON array, expected an object of strings"}));
    CHECK(says(message(R"({"line\nbreak":3})"), {R"(tensor "line\nbreak")"}));
}

TEST_CASE("safetensors: a hostile header cannot ask for memory or stack") {
    TempFolder folder;
    const fs::path path = folder / "w";
    write_raw(path, R"({"t":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}})");
    CHECK(says(refusal(path), {"is larger than any memory"}));
    write_raw(path, R"({"t":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}})");
    CHECK(says(refusal(path), {"expected 0 <= begin <= end <= 0"}));
    write_raw(path, R"({"t":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,0]}})");
    CHECK(says(refusal(path), {"expected an array of sizes"}));
    write_raw(path, R"({"t":)" + std::string(1 << 20, '['));
    CHECK(says(refusal(path), {"nested deeper"}));
    write_raw(path, R"({"t":{"dtype":")" + std::string(1 << 20, 'x') + R"(","shape":[],"data_offsets":[0,4]}})", 4);
    CHECK(refusal(path).size() < 1000);
}

TEST_CASE("safetensors: values that are no weights are refused by tensor and element") {
    const TempFolder folder;
    const fs::path path = folder / "w";
    const auto said = [&](const std::string& name, float value) {
        WeightFile weights;
        weights.tensors[name] = {{2, 2}, {1, 2, value, 4}};
        write_safetensors(path, weights);
        return refusal(path);
    };
    const float infinity = std::numeric_limits<float>::infinity();
    CHECK(says(said("conv1.weight", std::nanf("")),
               {"w: tensor \"conv1.weight\": element 2 (counted from 0) is nan, expected a finite number"}));
    CHECK(says(said("conv1.weight", infinity), {"element 2 (counted from 0) is inf, expected a finite number"}));
    CHECK(says(said("bn1.running_mean", -infinity), {"element 2 (counted from 0) is -inf, expected a finite number"}));
    CHECK(says(said("bn1.running_var", -0.5f), {"\"bn1.running_var\": element 2 (counted from 0) is -0.5, expected a variance"}));
    CHECK(said("bn1.running_var", 0) == "");
    CHECK(said("bn1.running_mean", -0.5f) == "");
    // A double may be finite and no float.
    const double wide = 1e300;
    std::string header = R"({"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})";
    const uint64_t length = header.size();
    write_file_atomically(
        path, std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(reinterpret_cast<const char*>(&wide), 8));
    CHECK(says(refusal(path), {"tensor \"x\": element 0 (counted from 0) is 1e+300, expected what fits a float"}));
}

TEST_CASE("safetensors: wrappers' prefixes are stripped, in any order; two names for one tensor are refused") {
    const TempFolder folder;
    const fs::path path = folder / "w";
    for (const char* name : {"fc.bias", "module.fc.bias", "_orig_mod.fc.bias", "model.fc.bias", "module._orig_mod.fc.bias",
                             "_orig_mod.module.fc.bias", "model.module.fc.bias"}) {
        CAPTURE(name);
        WeightFile weights;
        weights.tensors[name] = {{1}, {7}};
        write_safetensors(path, weights);
        const WeightFile read = read_safetensors(path);
        REQUIRE(read.tensors.count("fc.bias") == 1);
        CHECK(read.tensors.at("fc.bias").data[0] == 7);
    }
    WeightFile twice;
    twice.tensors["fc.bias"] = twice.tensors["model.fc.bias"] = {{1}, {7}};
    write_safetensors(path, twice);
    CHECK(says(refusal(path), {"holds \"fc.bias\" both with and without a prefix"}));
}

TEST_CASE("safetensors: a name of very many prefixes is read as any other") {
    std::string name;
    for (int i = 0; i < 16000; ++i) name += "module._orig_mod.";
    CHECK(unwrapped(name + "x") == "x");
    CHECK(unwrapped(name).empty());
    CHECK(unwrapped("x." + name) == "x." + name);
    CHECK(unwrapped("modul") == "modul");
}

TEST_CASE("safetensors: what the program may write over is a file as it writes them") {
    const TempFolder folder;
    write_safetensors(folder / "w", sample());
    CHECK(is_weight_file(folder / "w"));
    CHECK_FALSE(is_weight_file(folder / "none"));
    put_file(folder / "w.pth", "PK\3\4 and what a zip archive has");
    CHECK_FALSE(is_weight_file(folder / "w.pth"));
}

TEST_CASE("safetensors: what a file says of itself counts only where this program wrote it") {
    std::map<std::string, std::string> metadata{{"network", "resnet8"}, {"classes", "4"}};
    CHECK(own_word(metadata, "network").empty());
    metadata["dataset"] = "s", metadata["normalization"] = "auto";
    CHECK(own_word(metadata, "network") == "resnet8");
    CHECK(own_word(metadata, "seed").empty());
}

TEST_CASE("safetensors: a missing file and a folder are named") {
    TempFolder folder;
    CHECK(says(refusal(folder / "nowhere"), {"nowhere: cannot be read"}));
    CHECK(says(refusal(folder.path()), {"is a folder, expected a file"}));
    CHECK_THROWS_AS(write_safetensors(folder / "no" / "such" / "w", sample()), InputError);
}

TEST_SUITE_END();
