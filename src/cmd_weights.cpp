#include "cmd_weights.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_mapped_file.h"
#include "base_output_file.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "base_weight_files.h"
#include "device.h"
#include "method_teacher.h"
#include "net_foreign_weights.h"
#include "net_name.h"
#include "net_onnx.h"
#include "net_table.h"
#include "train_options.h"
#include "train_recipes.h"

namespace distill {
namespace {

/// Whose networks are published, and what their files do not say: data set, classes, and the normalisation they were trained with, of 255.
struct Source {
    const char* name;
    const char* what;
    ShortcutZeros zeros;
    std::string dataset, normalization;
    int classes;
};
const Source sources[] = {
    {"crd", "the CRD benchmark's CIFAR-100 teachers (RepDistiller, mdistiller)", ShortcutZeros::at_end, "cifar100",
     find_recipe("crd").normalize, 100},
    {"reviewkd", "networks trained by ReviewKD's authors' code on CIFAR-100", ShortcutZeros::at_end, "cifar100",
     find_recipe("reviewkd").normalize, 100},
    {"akamaster", "akamaster/pytorch_resnet_cifar10's, zero channels on both sides", ShortcutZeros::both_sides, "cifar10",
     "123.675,116.28,103.53,58.395,57.12,57.375", 10},
    {"ktg", "networks whose option-A shortcuts have their zero channels at the end, as KTG's authors'", ShortcutZeros::at_end, "", "", 0}};

std::string source_names() {
    std::vector<std::string> names;
    for (const Source& s : sources) names.push_back(text(s.name, " (", s.what, ")"));
    return joined(names, "; ");
}

const Source* named_source(const std::string& name) {
    if (name.empty()) return nullptr;
    const auto found = std::find_if(std::begin(sources), std::end(sources), [&](const Source& s) { return s.name == name; });
    if (found == std::end(sources)) input_error("--from: unknown source '", name, "'; there are: ", source_names());
    return found;
}

// ---- show

std::string shape_of(const HostTensor& tensor) {
    std::vector<std::string> sizes;
    for (const int64_t size : tensor.shape) sizes.push_back(std::to_string(size));
    return sizes.empty() ? "scalar" : joined(sizes, "x");
}

/// Smallest and largest number, mean and standard deviation (of all, not of a sample); empty cells for an empty tensor.
std::vector<std::string> statistics(const std::vector<float>& values) {
    if (values.empty()) return {"", "", "", ""};
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double count = static_cast<double>(values.size());
    double sum = 0, squares = 0;
    for (const float v : values) sum += static_cast<double>(v);
    const double mean = sum / count;
    for (const float v : values) squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
    std::vector<std::string> cells;
    for (const double v : {static_cast<double>(*low), static_cast<double>(*high), mean, std::sqrt(squares / count)}) {
        std::array<char, 32> shown;
        std::snprintf(shown.data(), shown.size(), "%.6g", v);
        cells.emplace_back(shown.data());
    }
    return cells;
}

void show(const fs::path& path, bool csv) {
    const WeightFile file = read_weights(path);
    const std::vector<std::string> head{"name", "shape", "min", "max", "mean", "deviation"};
    std::vector<std::vector<std::string>> rows;
    size_t numbers = 0;
    for (const auto& [name, tensor] : file.tensors) {
        rows.push_back({name, shape_of(tensor)});
        if (!csv)  // as wide as the longest is every row
            for (std::string& cell : rows.back()) cell = shortened(cell);
        for (std::string& cell : statistics(tensor.data)) rows.back().push_back(std::move(cell));
        numbers += tensor.data.size();
    }
    if (csv) {
        std::fputs(csv_text(head, printable(rows)).c_str(), stdout);
        return;
    }
    const bool torch = weight_format(MappedFile(path).bytes()) == WeightFormat::torch;
    std::printf("%s: %s, %zu tensors, %zu numbers\n", printable(path.string()).c_str(), torch ? "PyTorch's (torch.save)" : "safetensors",
                file.tensors.size(), numbers);
    for (const auto& [key, value] : file.metadata) std::printf("  %s: %s\n", printable(key).c_str(), printable(value).c_str());
    rows.insert(rows.begin(), head);
    std::fputs(aligned(rows, {2, 3, 4, 5}).c_str(), stdout);
}

void add_show(Subcommand weights) {
    struct Asked {
        fs::path file;
        bool csv = false;
    };
    const auto asked = std::make_shared<Asked>();
    const Subcommand sub = weights.add_subcommand("show", "a weight file's tensors: names, shapes, statistics; and what it says of itself");
    sub.add_option("file", asked->file, "safetensors, or what torch.save wrote").required();
    sub.add_flag("--csv", asked->csv, "the tensors as CSV");
    sub.callback([asked] { show(asked->file, asked->csv); });
}

/// Of the file's classifier.
int64_t require_classes(const WeightFile& file, const fs::path& path) {
    const int64_t classes = classes_of(file);
    constexpr int64_t most = 1 << 20;
    if (classes < 1 || classes > most)
        input_error(path.string(),
                    ": no classifier, expected one called fc, linear, classifier or classifier.0, of shape (classes, inputs)");
    return classes;
}

// ---- convert

struct Conversion {
    fs::path from, to;
    std::string network, source, dataset, normalization;
};

/// What the file is to say of itself, so that it is known again (own_word) where data set and normalisation are known: what it said, if it is
/// one of ours.
std::map<std::string, std::string> metadata_of(const Conversion& c, const std::map<std::string, std::string>& before, const Source* source,
                                               int64_t classes) {
    std::map<std::string, std::string> said;
    if (!own_word(before, "network").empty()) said = before;
    said["network"] = c.network;
    said["classes"] = std::to_string(classes);
    said["converted_from"] = c.from.filename().string();
    said["converted_sha256"] = sha256_of_file(c.from);
    const std::string dataset = !c.dataset.empty() ? c.dataset : source ? source->dataset : "";
    const std::string normalization = !c.normalization.empty() ? c.normalization : source ? source->normalization : "";
    if (!dataset.empty()) said["dataset"] = dataset;
    if (!normalization.empty()) said["normalization"] = to_string(resolve_normalization(normalization, {}, "none"));
    return said;
}

void convert(const Conversion& c) {
    const Source* const source = named_source(c.source);
    if (c.normalization == "auto")
        input_error("--normalize auto: is the data set's; say none, or the six numbers that the network was trained with");
    std::error_code unused;
    if (fs::exists(c.to, unused) && !is_weight_file(c.to))
        input_error(c.to.string(), ": is there and is no safetensors file, so it is not replaced; name another, or move it away");
    require_not_read("weights convert", c.to, c.from);
    WeightFile file = read_weights(c.from);
    require_network(c.from.string(), file.metadata, c.network, 0);
    const auto before = file.metadata;
    const int64_t classes = require_classes(file, c.from);
    if (source && source->classes > 0 && classes != source->classes)
        input_error(c.from.string(), ": --from ", c.source, ": its classifier has ", classes, " classes, expected ", source->classes,
                    "; leave --from out, or name another");
    const auto backend = make_backend("cpu");
    Parameters parameters(*backend, false);
    const auto network = make_network(c.network, static_cast<int>(classes), parameters);
    parameters.allocate(0);
    take_network(parameters, "", std::move(file), c.from.string(), *network, source ? source->zeros : ShortcutZeros::by_names);
    write_safetensors(c.to, {parameters.to_file(), metadata_of(c, before, source, classes)});
    std::printf("%s: %s of %lld classes, from %s\n", printable(c.to.string()).c_str(), c.network.c_str(), static_cast<long long>(classes),
                printable(c.from.string()).c_str());
}

void add_convert(Subcommand weights) {
    const auto c = std::make_shared<Conversion>();
    const Subcommand sub =
        weights.add_subcommand("convert", "a stranger's weight file to safetensors with this program's names and order of channels");
    sub.add_option("in", c->from, "safetensors, or what torch.save wrote").required();
    sub.add_option("out", c->to, "the safetensors file to write").required();
    sub.add_option("--net", c->network, "the network that it is").required();
    sub.add_option("--from", c->source,
                   "whose it is, so that the file says its data set and normalization: " + source_names() + " [told by its names]");
    sub.add_option("--dataset", c->dataset, "what it was trained on, for the file to say");
    sub.add_option("--normalize", c->normalization, "what its images were normalized by, none or m1,m2,m3,s1,s2,s3 of 255, likewise");
    sub.callback([c] {
        c->network = without_aliases(c->network);
        convert(*c);
    });
}

// ---- export

/// What the model is to say: what the file does, and how its images are to be normalised.
std::map<std::string, std::string> model_metadata(const fs::path& from, const WeightFile& file, const Network& network) {
    std::map<std::string, std::string> said = file.metadata;
    said["network"] = network.name();
    said["classes"] = std::to_string(network.classes());
    said["input"] = "N,C,H,W; red, green, blue; (pixel - mean) / std, pixels from 0 to 255";
    if (const std::string known = known_word(file.metadata, "normalization"); !known.empty() && known != "auto") {
        if (!parse_normalization(known))
            input_error(from.string(), ": says normalization '", known,
                        "', expected none, or six numbers m1,m2,m3,s1,s2,s3 of 255 with s > 0; convert it with --normalize");
        const std::vector<std::string> six = split(known == "none" ? "0,0,0,255,255,255" : known, ',');
        said["mean"] = joined({six.begin(), six.begin() + 3}, ",");
        said["std"] = joined({six.begin() + 3, six.end()}, ",");
    }
    return said;
}

void add_export(Subcommand weights) {
    struct Asked {
        fs::path from, to;
        std::string network;
        int64_t size = 0;
    };
    const auto e = std::make_shared<Asked>();
    const Subcommand sub = weights.add_subcommand("export", "a trained network as an ONNX model (opset 17), for other programs to use");
    sub.add_option("in", e->from, "safetensors, or what torch.save wrote").required();
    sub.add_option("out", e->to, "the model to write, NAME.onnx").required();
    sub.add_option("--net", e->network, "the network that it is [what the file says]");
    sub.add_option("--size", e->size, "height and width of the images [32, of a NAME-tiny 64]").within(8, 1024);
    sub.callback([e] { export_model(e->from, e->to, without_aliases(e->network), e->size); });
}

}  // namespace

void export_model(const fs::path& from, const fs::path& to, const std::string& told, int64_t asked_size) {
    require_onnx();
    if (to.extension() != ".onnx") input_error(to.string(), ": is no name of an ONNX model; name a file that ends in .onnx");
    require_output("weights export", to, onnx_beginning, "ONNX model of this program");
    WeightFile file = read_weights(from);
    const std::string name = told.empty() ? own_word(file.metadata, "network") : told;
    if (name.empty()) input_error(from.string(), ": does not say which network it is; name it with --net; there are: ", network_names());
    require_network(from.string(), file.metadata, name, 0);
    const int64_t classes = require_classes(file, from);
    const auto backend = make_backend("cpu");
    Parameters parameters(*backend, false);
    const auto network = make_network(name, static_cast<int>(classes), parameters);
    require_enough(file, from.string(), *network, parameters, "; name the network that it is with --net");
    const int64_t size = asked_size > 0 ? asked_size : network_name(name).tiny ? 64 : 32;
    network->require_images(size, size);
    const std::map<std::string, std::string> metadata = model_metadata(from, file, *network);
    parameters.allocate(0);
    take_network(parameters, "", std::move(file), from.string(), *network);
    write_file_atomically(to, onnx_model(*network, parameters, {1, size, size, 3}, metadata));
    std::printf("%s: %s, input (N,3,%lld,%lld) to logits (N,%lld), from %s\n", printable(to.string()).c_str(), name.c_str(),
                static_cast<long long>(size), static_cast<long long>(size), static_cast<long long>(classes),
                printable(from.string()).c_str());
}

void add_weights_commands(Subcommand app) {
    const Subcommand weights = app.add_subcommand("weights", "show, convert and export weight files, also PyTorch's");
    weights.require_subcommand();
    add_show(weights);
    add_convert(weights);
    add_export(weights);
}

}  // namespace distill
