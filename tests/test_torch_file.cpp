// PyTorch's files: what its own releases wrote, to the bit; and every way in which a file may not be one of them.
#include <cstring>
#include <limits>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "base_weight_files.h"
#include "complaints.h"
#include "torch_bytes.h"

using namespace distill;
using namespace distill::testing;
namespace tb = distill::torch_bytes;

TEST_SUITE_BEGIN("no kernels");

namespace {

WeightFile read_bytes(const std::string& bytes) {
    const TempFolder folder;
    put_file(folder / "w.pth", bytes);
    return read_weights(folder / "w.pth");
}

/// The complaint about a file of these bytes; "" if there is none.
std::string refusal(const std::string& bytes) {
    return complaint([&] { read_bytes(bytes); });
}

const std::string two_floats = tb::number(1.5f) + tb::number(-2.0f);

/// {"fc.bias": two floats}, whose storage says it has `elements`.
std::string bias(int64_t elements = 2, const std::vector<int64_t>& sizes = {2}, const std::vector<int64_t>& strides = {1},
                 int64_t offset = 0) {
    return tb::dict({{"fc.bias", tb::tensor(tb::storage("FloatStorage", "0", elements), sizes, strides, offset)}});
}

std::string whole(const std::string& value, const tb::Zip& how = {}) { return tb::in_zip(value, {{"0", two_floats}}, how); }

void check_two_floats(const WeightFile& file, const std::string& name = "fc.bias") {
    REQUIRE(file.tensors.size() == 1);
    REQUIRE(file.tensors.count(name) == 1);
    CHECK(file.tensors.at(name).shape == std::vector<int64_t>{2});
    CHECK(file.tensors.at(name).data == std::vector<float>{1.5f, -2.0f});
}

}  // namespace

TEST_CASE("torch files: what PyTorch 1.13 and 2.15 saved, as zip and before 1.6, is equal to the bit") {
    const CsvTable expected = read_csv(golden("torch_state.csv"));
    for (const char* name : {"torch_1.13_zip.pth", "torch_1.13_legacy.pth", "torch_2.15_zip.pth", "torch_2.15_legacy.pth"}) {
        CAPTURE(name);
        const WeightFile file = read_weights(golden(name));
        CHECK(file.metadata.empty());
        CHECK(file.tensors.size() == expected.rows.size() - 1);  // all but BatchNorm's counter
        for (size_t row = 0; row < expected.rows.size(); ++row) {
            const std::string tensor = expected.cell(row, "name");
            if (tensor == "bn1.num_batches_tracked") continue;
            CAPTURE(tensor);
            REQUIRE(file.tensors.count(tensor) == 1);
            const HostTensor& read = file.tensors.at(tensor);
            std::vector<int64_t> shape;
            for (const std::string& size : split(expected.cell(row, "shape"), ' ')) shape.push_back(std::stoll(size));
            CHECK(read.shape == shape);
            std::vector<uint32_t> bits(read.data.size()), exact;
            if (!bits.empty()) std::memcpy(bits.data(), read.data.data(), 4 * bits.size());
            for (const std::string& word : split(expected.cell(row, "bits"), ' '))
                exact.push_back(static_cast<uint32_t>(std::stoul(word, nullptr, 16)));
            CHECK(bits == exact);
        }
    }
}

TEST_CASE("torch files: a checkpoint of the CRD benchmark's trainer, with the rates that numpy has computed and the options beside it") {
    for (const char* name : {"torch_1.13_crd.pth", "torch_1.13_crd_legacy.pth"}) {
        CAPTURE(name);
        const WeightFile file = read_weights(golden(name));
        REQUIRE(file.tensors.size() == 2);
        CHECK(file.tensors.at("fc.weight").data == std::vector<float>{0, 1, 2, 3, 4, 5});
        CHECK(file.tensors.at("fc.bias").data == std::vector<float>{0, 1});
    }
    // As numpy 2 pickles a number, and a pickle of protocol 3 its bytes.
    const std::string dtype = tb::global("numpy", "dtype") + tb::tuple({tb::text("f8"), "\x89", "\x88"}) + "R" +
                              tb::tuple({"K\3", tb::text("<"), "N", "N", "N", "J\xff\xff\xff\xff", "J\xff\xff\xff\xff", tb::whole(0)}) +
                              "b";
    const std::string eight = tb::number(0.05);
    const std::string scalar = tb::global("numpy._core.multiarray", "scalar");
    for (const std::string& bytes : {tb::global("_codecs", "encode") + tb::tuple({tb::text(eight), tb::text("latin1")}) + "R",
                                     "C\x08" + eight, "B" + tb::number<uint32_t>(8) + eight})
        check_two_floats(read_bytes(whole(tb::dict({{"accuracy", scalar + tb::tuple({dtype, bytes}) + "R"}, {"model", bias()}}))));
}

TEST_CASE("torch files: a state dict stands alone, or under one of the usual names") {
    check_two_floats(read_bytes(whole(bias())));
    check_two_floats(read_bytes(tb::in_row(bias(), {{"0", two_floats}})));
    for (const char* key : {"model", "state_dict", "model_state_dict", "net", "weight"}) {
        CAPTURE(key);
        check_two_floats(read_bytes(whole(tb::dict({{"epoch", tb::whole(3)}, {key, bias()}, {"note", tb::text("x")}}))));
    }
    check_two_floats(read_bytes(whole(tb::dict({{"model", tb::text("resnet8")}, {"net", bias()}}))));
    check_two_floats(read_bytes(whole(tb::dict({{"model", bias()}, {"weight", tb::dict({{"cat", tb::whole(3)}})}}))));
    CHECK(says(refusal(whole(tb::dict({{"model", bias()}, {"net", bias()}}))), {"holds state dicts under model, net, expected one"}));
    CHECK(says(refusal(whole(tb::dict({{"epoch", tb::whole(3)}, {"weights", bias()}}))),
               {"holds no state dict", "under model, state_dict, model_state_dict, net or weight",
                "found a dictionary of \"epoch\", \"weights\""}));
    CHECK(says(refusal(whole("]")), {"w/data.pkl, byte 2: the file holds a list, expected a state dict"}));
    CHECK(says(refusal(whole(tb::dict({{"model", tb::dict({{"epoch", tb::whole(3)}})}}))),
               {"the state dict's \"epoch\" is the number 3, expected a tensor"}));
    // Prefixes as in safetensors; Python 2's texts, a list of pairs in an OrderedDict, and protocol 4.
    const std::string t = tb::tensor(tb::storage("FloatStorage", "0", 2), {2}, {1});
    check_two_floats(read_bytes(whole(tb::dict({{"module._orig_mod.model.fc.bias", t}}))));
    check_two_floats(read_bytes(whole(tb::global("collections", "OrderedDict") + "]](U\x07" + "fc.bias" + t + "ea\x85R")));
    check_two_floats(read_bytes(tb::zip({{"w/data.pkl", "\x80\x04\x95" + tb::number<uint64_t>(9) + "}\x94\x8c\x07" + "fc.bias" +
                                                            "\x8c\x0c" + "torch._utils\x8c\x12_rebuild_tensor_v2\x93" +
                                                            t.substr(tb::global("torch._utils", "_rebuild_tensor_v2").size()) + "s."},
                                         {"w/data/0", two_floats}})));
    CHECK(says(refusal(whole(tb::dict({{"fc.bias", t}, {"module.fc.bias", t}}))), {"\"fc.bias\" both with and without a prefix"}));
    CHECK(says(refusal(whole(tb::dict({{"fc.bias", t}, {"fc.bias", t}}))), {"names \"fc.bias\" twice"}));
}

TEST_CASE("torch files: a foreign class or opcode is named with its byte, and nothing is called") {
    CHECK(says(refusal(whole(tb::dict({{"args", tb::global("argparse", "ArgumentParser") + ")\x81"}}))),
               {"w.pth: w/data.pkl, byte 13: the class or function \"argparse.ArgumentParser\" is none that a state dict needs",
                "save the state dict alone: torch.save(model.state_dict()"}));
    CHECK(says(refusal(tb::in_row(tb::global("torch.nn.modules.container", "Sequential") + ")\x81", {})),
               {"w.pth: byte 72: the class or function \"torch.nn.modules.container.Sequential\""}));
    CHECK(says(refusal(tb::in_row("\x8c\x02os\x8c\x06system\x93", {})), {"\"os.system\""}));
    for (const auto& [bytes, named] : {std::pair<std::string, const char*>{"I3\n", "opcode INT (0x49)"},
                                       {")\x92", "opcode NEWOBJ_EX (0x92)"},
                                       {"(ios\nsystem\n", "opcode INST (0x69)"},
                                       {"P3\n", "opcode PERSID (0x50)"},
                                       {"\xff", "opcode 0xff"}})
        CHECK(says(refusal(whole(bytes)), {"w/data.pkl, byte ", named, "is none that a state dict needs"}));
    CHECK(says(refusal("\x80\x04}\x94."), {"a pickle of a dictionary, expected a file that torch.save wrote"}));
    CHECK(says(refusal(whole(tb::global("collections", "OrderedDict") + "K\1R")),
               {"REDUCE calls collections.OrderedDict with the number 1"}));
    // numpy's numbers and the trainer's options may stand beside a state dict, and are no tensors.
    const std::string options = tb::global("argparse", "Namespace") + ")\x81" + tb::dict({{"lr", tb::whole(1)}}) + "b";
    check_two_floats(read_bytes(whole(tb::dict({{"opt", options}, {"model", bias()}}))));
    CHECK(says(refusal(whole(tb::dict({{"opt", options}}))), {"holds no state dict", "found a dictionary of \"opt\""}));
    CHECK(says(refusal(whole(tb::dict({{"model", tb::dict({{"fc.bias", options}})}}))),
               {"the state dict's \"fc.bias\" is what argparse.Namespace makes, expected a tensor"}));
    CHECK(says(refusal(whole("K\1)b")), {"BUILD gives attributes to the number 1"}));
    const std::string tensor = tb::tensor(tb::storage("FloatStorage", "0", 2), {2}, {1});
    CHECK(says(refusal(whole(tb::dict({{"fc.bias", tensor + ")b"}}))), {"tensor \"fc.bias\" is what torch._utils"}));
    // What is built is never a state dict's tensor by its name alone.
    CHECK(says(refusal(whole(tb::dict({{"x", tb::global("torch._utils", "_rebuild_parameter") + ")R"}}))),
               {"tensor \"x\" is what torch._utils"}));
    CHECK(says(refusal(whole(tb::dict({{"x", tb::global("torch", "FloatStorage") + ")R"}}))),
               {"holds no state dict", "found a dictionary of \"x\""}));
}

TEST_CASE("torch files: a tensor that its storage does not hold, or holds twice, is refused") {
    CHECK(says(refusal(whole(bias(2, {3}))), {"tensor \"fc.bias\": needs 3 elements from element 0 on, its storage \"0\" has 2"}));
    CHECK(says(refusal(whole(bias(2, {1}, {1}, 2))), {"needs 1 elements from element 2 on, its storage \"0\" has 2"}));
    CHECK(says(refusal(whole(bias(3, {3}))), {"tensor \"fc.bias\": its storage \"0\" has 8 bytes, expected 3 numbers of 4"}));
    CHECK(says(refusal(whole(bias(int64_t{1} << 62, {int64_t{1} << 62}))), {"its storage \"0\" has 8 bytes"}));
    CHECK(says(refusal(whole(bias(2, {2}, {0}))), {"strides (0) overlap for sizes (2), expected each element once"}));
    CHECK(says(refusal(whole(bias(2, {int64_t{1} << 40}, {0}))), {"strides (0) overlap"}));
    CHECK(says(refusal(whole(bias(2, {2, 2}, {1, 1}))), {"strides (1, 1) overlap for sizes (2, 2)"}));
    CHECK(says(refusal(whole(bias(2, {2}, {-1}, 1))), {"tensor \"fc.bias\": its strides have the number -1, expected none below 0"}));
    CHECK(says(refusal(whole(bias(2, {-2}, {1}))), {"its sizes have the number -2"}));
    CHECK(says(refusal(whole(bias(2, {2}, {1}, -1))), {"tensor \"fc.bias\" is what"}));
    CHECK(says(refusal(whole(bias(2, {2}, {1, 1}))), {"has 1 sizes and 2 strides"}));
    CHECK(says(refusal(whole(bias(-2))), {"a storage whose description has no number of elements"}));
    CHECK(says(refusal(tb::in_zip(bias(), {})), {"its storage \"0\" is not in the file"}));
    CHECK(says(refusal(tb::in_row(bias(), {})), {"its storage \"0\" is not in the file"}));
    CHECK(says(refusal(tb::in_row(bias(), {{"7", two_floats}})), {"the text \"7\" is no storage of the state dict"}));
    CHECK(says(refusal(whole(tb::dict({{"x", tb::tensor(tb::storage("IntStorage", "0", 2), {2}, {1})}}))),
               {"tensor \"x\" is of torch.IntStorage, expected half, bfloat16, float, double or long numbers"}));
    CHECK(says(refusal(whole(bias(2, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)))), {"has 65 dimensions"}));
    // Dimensions of one element may have any stride, an empty tensor any at all.
    CHECK(read_bytes(whole(bias(2, {1, 2, 1}, {int64_t{1} << 62, 1, 0}))).tensors.at("fc.bias").data == std::vector<float>{1.5f, -2.0f});
    CHECK(read_bytes(whole(bias(2, {0, 7}, {0, 0}))).tensors.at("fc.bias").data.empty());
    // Values as everywhere.
    CHECK(says(refusal(tb::in_zip(bias(), {{"0", tb::number(1.0f) + tb::number(std::numeric_limits<float>::quiet_NaN())}})),
               {"tensor \"fc.bias\": element 1 (counted from 0) is nan, expected a finite number"}));
    // Whatever the pickle says, no more memory is taken than twice the file.
    std::vector<std::pair<std::string, std::string>> many;
    const std::string large(4096, '\0');
    for (int i = 0; i < 40; ++i) many.emplace_back(std::to_string(i), tb::tensor(tb::storage("FloatStorage", "0", 1024), {1024}, {1}));
    CHECK(says(refusal(tb::in_zip(tb::dict(many), {{"0", large}})), {"share storages so that they take", "more than twice the file's"}));
}

TEST_CASE("torch files: a zip archive that is none of torch.save's is refused for what it is") {
    check_two_floats(read_bytes(whole(bias(), {true})));          // zip64
    check_two_floats(read_bytes(whole(bias(), {false, false})));  // without checksums
    CHECK(says(refusal(whole(bias(), {false, true, 8})), {"entry \"w/data.pkl\" is compressed (method 8), expected stored"}));
    CHECK(says(refusal(whole(bias(), {false, true, 0, 1})), {"entry \"w/data.pkl\" is encrypted"}));
    CHECK(says(refusal(tb::zip({{"w/code/model.py", ""}})), {"a zip archive without NAME/data.pkl"}));
    CHECK(says(refusal(tb::zip({{"w/data.pkl", ""}, {"w/data.pkl", ""}})), {"holds two entries \"w/data.pkl\""}));
    CHECK(says(refusal(tb::zip({{"w/data.pkl", tb::pickle(bias())}, {"w/byteorder", "big"}})), {"stored \"big\" end first"}));
    CHECK(says(refusal(tb::in_row(bias(), {{"0", two_floats}}, false)), {"stored big end first"}));
    std::string damaged = whole(bias());
    damaged[damaged.find(two_floats)] ^= 1;
    CHECK(says(refusal(damaged), {"entry \"w/data/0\" is damaged: its CRC-32 is "}));
    // An entry within another: its head stands in the other's data, and the directory is made to point there.
    const std::string inner = tb::zip({{"w/data/000", "abcd"}}), head = inner.substr(0, inner.find("PK\1\2"));
    std::string within = tb::zip({{"w/data.pkl", head}, {"w/data/000", "abcd"}});
    const size_t place = within.find("PK\1\2", within.find("PK\1\2") + 1) + 42;  // of the offset in the second entry
    within.replace(place, 4, tb::number<uint32_t>(40));
    CHECK(says(refusal(within), {"byte 40: entry \"w/data/000\" begins within \"w/data.pkl\""}));
    within.replace(place, 4, tb::number<uint32_t>(0));
    CHECK(says(refusal(within), {"byte 0: an entry of another name than the directory's \"w/data/000\""}));
}

TEST_CASE("torch files: one cut at any byte, or with a byte changed, is read or refused in a line") {
    const TempFolder folder;
    const fs::path path = folder / "w.pth";
    for (const std::string& good : {whole(bias()), tb::in_row(bias(), {{"0", two_floats}})}) {
        for (size_t length = 0; length < good.size(); ++length) {
            CAPTURE(length);
            put_file(path, good.substr(0, length));
            CHECK_FALSE(complaint([&] { read_weights(path); }).empty());
        }
        size_t refused = 0;
        for (size_t place = 0; place < good.size(); ++place)
            for (const int flip : {0x01, 0x80}) {
                std::string damaged = good;
                damaged[place] = static_cast<char>(damaged[place] ^ flip);
                put_file(path, damaged);
                refused += !complaint([&] { read_weights(path); }).empty();  // any other exception fails the case
            }
        CHECK(refused > good.size() / 2);
    }
    put_file(path, whole(bias()).substr(0, 300));
    CHECK(says(complaint([&] { read_weights(path); }), {"w.pth: is a zip archive without its end record: cut short (found 300 bytes)"}));
}

TEST_CASE("torch files: a hostile pickle cannot ask for memory or stack") {
    CHECK(says(refusal(whole(std::string(1 << 20, ']'))), {"STOP with 1048576 values"}));
    CHECK(says(refusal(whole("]" + std::string(1 << 20, '\x85'))), {"the file holds a tuple"}));  // a tuple in a tuple in a tuple …
    CHECK(says(refusal(whole("]q" + std::string(1, '\0') + "h" + std::string(1, '\0') + "a")),
               {"the file holds a list"}));  // a list in itself
    CHECK(says(refusal(whole(std::string((4 << 20) + 2, 'N'))), {"a pickle of more than 4194304 bytes"}));
    CHECK(says(refusal(whole("X" + tb::number<uint32_t>(0xffffffff) + "x")), {"4294967295 bytes should follow"}));
    CHECK(says(refusal(whole("t")), {"needs a MARK finds none"}));
    CHECK(says(refusal(whole("(h\7")), {"value 7 of the memo is used, and was never put there"}));
    CHECK(says(refusal(whole("K\1s")), {"an opcode that needs 2 values finds 1"}));
    CHECK(says(refusal(whole("](s")), {"an opcode that needs 2 values finds 0"}));  // nothing from below a mark
    CHECK(says(refusal(whole("}(K\1u")), {"SETITEMS with a key that has no value"}));
    CHECK(says(refusal(whole("K\1K\1b")), {"BUILD gives attributes to the number 1"}));
    // Long lists of pairs, named again and again.
    std::string pairs = "](";
    for (int i = 0; i < 100000; ++i) pairs += "h\3";
    const std::string again = tb::global("collections", "OrderedDict") + "q\1" + "NN\x86q\3" + pairs + "e\x85q\2";
    CHECK(says(refusal(whole(again + "h\1h\2R" + "h\1h\2R" + "h\1h\2R")), {"OrderedDicts again and again"}));
    CHECK(says(refusal(whole(tb::global("collections", "OrderedDict") + "])a\x85R")), {"expected pairs of key and value"}));
    // A storage's key is looked up wherever it is named.
    const auto with_key = [](size_t length) {
        const std::string key(length, '7');
        return tb::in_row(tb::dict({{"fc.bias", tb::tensor(tb::storage("FloatStorage", key, 2), {2}, {1})}}), {{key, two_floats}});
    };
    check_two_floats(read_bytes(with_key(256)));
    CHECK(says(refusal(with_key(257)), {"w.pth: byte ", ": a storage whose key has 257 bytes, expected at most 256"}));
}

TEST_CASE("torch files: the bytes decide what a file is, not its name") {
    const TempFolder folder;
    write_safetensors(folder / "safe.pth", {{{"fc.bias", {{2}, {1.5f, -2.0f}}}}, {}});
    check_two_floats(read_weights(folder / "safe.pth"));
    put_file(folder / "torch.safetensors", whole(bias()));
    check_two_floats(read_weights(folder / "torch.safetensors"));
    // A safetensors header of 640 bytes begins as a pickle does.
    WeightFile weights;
    weights.metadata["note"] = "x";
    weights.tensors["fc.bias"] = {{2}, {1.5f, -2.0f}};
    write_safetensors(folder / "w", weights);
    weights.metadata["note"] = std::string(1 + 640 - static_cast<unsigned char>(read_file(folder / "w")[0]), 'x');
    write_safetensors(folder / "w", weights);
    REQUIRE(read_file(folder / "w").compare(0, 2, "\x80\x02") == 0);
    check_two_floats(read_weights(folder / "w"));
    put_file(folder / "page", "<!DOCTYPE html><html>an error page, saved by mistake</html>");
    CHECK(says(complaint([&] { read_weights(folder / "page"); }), {"neither a safetensors file nor one of PyTorch's"}));
    put_file(folder / "empty", "");
    CHECK(says(complaint([&] { read_weights(folder / "empty"); }), {"empty: found 0 bytes"}));
    CHECK(says(complaint([&] { read_weights(folder / "none"); }), {"none: cannot be read"}));
    CHECK(says(complaint([&] { read_weights(folder.path()); }), {"is a folder, expected a file"}));
}

TEST_SUITE_END();
