#include "net_foreign_weights.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base_error.h"
#include "base_notes.h"
#include "base_texts.h"

namespace distill {
namespace {

const std::vector<std::string>& classifier_names() {
    static const std::vector<std::string> names{"fc", "linear", "classifier", "classifier.0"};
    return names;
}

/// Returns what the file called it; "" if it has none of the names.
std::string rename_classifier(WeightFile& file, const std::string& prefix, const std::string& own) {
    if (own.empty()) return "";
    const auto has = [&](const std::string& name) { return file.tensors.count(prefix + name + ".weight") > 0; };
    if (has(own)) return own;
    const auto theirs = std::find_if(classifier_names().begin(), classifier_names().end(), has);
    if (theirs == classifier_names().end()) return "";
    for (const char* part : {".weight", ".bias"}) rename_tensor(file, prefix + *theirs + part, prefix + own + part);
    return *theirs;
}

void rename_projections(WeightFile& file, const std::string& prefix, const WeightShapes& own) {
    std::vector<std::pair<std::string, std::string>> renamed;
    for (const auto& [from, to] : {std::pair<std::string, std::string>{".shortcut.", ".downsample."}, {".downsample.", ".shortcut."}})
        for (const auto& [name, unused] : file.tensors) {
            const size_t at = name.find(from);
            if (!starts_with(name, prefix) || at == std::string::npos) continue;
            const std::string ours = std::string(name).replace(at, from.size(), to);
            if (!own.count(name.substr(prefix.size())) && own.count(ours.substr(prefix.size()))) renamed.emplace_back(name, ours);
        }
    for (const auto& [from, to] : renamed) rename_tensor(file, from, to);
}

using Order = std::vector<size_t>;  ///< place i here has what they have at order[i]

/// Of each stage's map, where their zeros are on both sides and ours behind the rest.
std::vector<Order> stage_orders(const std::vector<int64_t>& channels) {
    std::vector<Order> orders(1);
    orders[0].resize(static_cast<size_t>(channels[0]));
    std::iota(orders[0].begin(), orders[0].end(), size_t{0});
    for (size_t s = 1; s < channels.size(); ++s) {
        const Order& before = orders.back();
        const size_t all = static_cast<size_t>(channels[s]), side = (all - before.size()) / 2;
        Order order;
        for (const size_t c : before) order.push_back(side + c);
        for (size_t c = 0; c < all; ++c)
            if (c < side || c >= side + before.size()) order.push_back(c);
        orders.push_back(order);
    }
    return orders;
}

/// Reorders along an axis (0 or 1), where the tensor is as long there.
void permute(HostTensor& t, size_t axis, const Order& order) {
    if (t.shape.size() <= axis || static_cast<size_t>(t.shape[axis]) != order.size()) return;
    size_t inner = 1;
    for (size_t d = axis + 1; d < t.shape.size(); ++d) inner *= static_cast<size_t>(t.shape[d]);
    const std::vector<float> from = t.data;
    for (size_t i = 0; i < from.size(); ++i) {
        const size_t here = i / inner % order.size();
        t.data[i] = from[i + (order[here] - here) * inner];  // wraps where it goes back
    }
}

/// A block's input and output follow its stages' maps; what is between its convolutions stays.
void permute_stages(WeightFile& file, const std::string& prefix, const Network& network) {
    const std::vector<Order> orders = stage_orders(network.stage_channels());
    for (auto& [name, tensor] : file.tensors) {
        if (!starts_with(name, prefix)) continue;
        const std::string own = name.substr(prefix.size());
        if (own == network.classifier_name() + ".weight") permute(tensor, 1, orders.back());
        unsigned stage = 0, block = 0;
        int length = 0;
        if (std::sscanf(own.c_str(), "layer%u.%u.%n", &stage, &block, &length) != 2 || length == 0) continue;
        if (stage < 1 || stage > orders.size()) continue;
        const std::string module = own.substr(static_cast<size_t>(length));
        if (module == "conv1.weight") permute(tensor, 1, orders[block == 0 && stage > 1 ? stage - 2 : stage - 1]);
        if (module == "conv2.weight" || starts_with(module, "bn2.")) permute(tensor, 0, orders[stage - 1]);
    }
}

/// "; …" where the classifier, and it alone, is one of other classes; else "".
std::string other_classes(const WeightFile& file, const Network& network, const WeightShapes& own) {
    const std::string classifier = network.classifier_name() + ".";
    for (const auto& [name, shape] : own) {
        const auto there = file.tensors.find(name);
        if (there == file.tensors.end()) return "";
        if (starts_with(name, classifier) ? there->second.shape.size() != shape.size() : there->second.shape != shape) return "";
    }
    const auto weight = own.find(classifier + "weight");
    const int64_t found = weight == own.end() ? 0 : file.tensors.at(weight->first).shape[0];
    if (weight == own.end() || found == weight->second[0]) return "";
    return text("; the file's network tells ", found, " classes apart, here there are ", weight->second[0]);
}

}  // namespace

std::string to_own_conventions(WeightFile& file, const std::string& prefix, const Network& network, const WeightShapes& own,
                               ShortcutZeros zeros) {
    if (!own_word(file.metadata, "network").empty() || file.metadata.count("converted_from") > 0) return "";
    const std::string classifier = rename_classifier(file, prefix, network.classifier_name());
    rename_projections(file, prefix, own);
    const bool guessed = zeros == ShortcutZeros::by_names && classifier == "linear";
    if (!network.adds_zeros() || !(guessed || zeros == ShortcutZeros::both_sides)) return "";
    permute_stages(file, prefix, network);
    if (!guessed) return "";
    return "its classifier is called linear, as in networks whose option-A shortcuts put zero channels on both sides: its channels are "
           "permuted to ours, with the zeros at the end (distill weights convert --from ktg leaves them)";
}

std::string may_be(const WeightFile& file, const std::string& prefix, const Network& network) {
    const auto has = [&](const std::string& start) {
        const auto found = file.tensors.lower_bound(prefix + start);
        return found != file.tensors.end() && starts_with(found->first, prefix + start);
    };
    const auto stem = file.tensors.find(prefix + "conv1.weight");
    const bool large = stem != file.tensors.end() && stem->second.shape.size() == 4 && stem->second.shape[2] == 7;
    if (has("layer2.0.conv2.") && !has("layer2.0.conv3.") && !has("layer2.0.downsample.") && !has("layer2.0.shortcut."))
        return "; the file is a ResNet without projections: resnet<6n+2>a is one (option-A shortcuts)";
    if (!has("layer4.") || !has("layer1.0.conv1.")) return "";
    if (network.stages().size() == 4 && !large) return "";
    return text("; the file is a ResNet of four stages", large ? " with ImageNet's 7x7 stem" : "", ", ", network.name(),
                network.stages().size() == 4 ? " has a 3x3 stem, for small images"
                                             : " here is one of three stages, depth 6n+2; those of four are ResNet10, 18, 34 and 50");
}

int64_t classes_of(const WeightFile& file) {
    for (const char* prefix : {"", "student."})
        for (const std::string& name : classifier_names())
            if (const auto found = file.tensors.find(prefix + name + ".weight");
                found != file.tensors.end() && found->second.shape.size() == 2)
                return found->second.shape[0];
    return 0;
}

void rename_tensor(WeightFile& file, const std::string& from, const std::string& to) {
    if (file.tensors.count(to)) return;
    auto node = file.tensors.extract(from);
    if (node.empty()) return;
    node.key() = to;
    file.tensors.insert(std::move(node));
}

void require_enough(const WeightFile& file, const std::string& path, const Network& network, const Parameters& parameters,
                    const char* remedy) {
    int64_t there = 0;
    for (const auto& [name, tensor] : file.tensors) there += static_cast<int64_t>(tensor.data.size());
    if (there < parameters.count())
        input_error(path, ": holds ", there, " numbers, a ", network.name(), " has ", parameters.count(), remedy);
}

void keep_student(WeightFile& file, const std::string& path) {
    const std::string student = "student.", of_leader = "trans_fusion_module.";
    const auto first = file.tensors.lower_bound(student);
    const bool wrapped = first != file.tensors.end() && starts_with(first->first, student);
    std::map<std::string, HostTensor> kept, left;
    for (auto& [name, tensor] : file.tensors) {
        const bool keeps = wrapped ? starts_with(name, student) : !starts_with(name, of_leader);
        keeps ? kept[name.substr(wrapped ? student.size() : 0)] = std::move(tensor) : left[name] = {};
    }
    if (kept.empty()) return;
    if (!left.empty())
        tell_once(text("note: ", path, ": the network", wrapped ? " under student." : " of FFSD's leader", " is taken, ", left.size(),
                       " other tensors (", printable(left.begin()->first), ", …) are left"));
    file.tensors = std::move(kept);
}

void take_network(Parameters& parameters, const std::string& prefix, WeightFile file, const std::string& path, const Network& network,
                  ShortcutZeros zeros) {
    const WeightShapes own = parameters.file_shapes(prefix);
    keep_student(file, path);
    const std::string guess = to_own_conventions(file, "", network, own, zeros);
    if (!guess.empty()) tell_once(text("note: ", path, ": ", guess));
    const std::string classes = other_classes(file, network, own);
    parameters.from_file(file, path, prefix, classes.empty() ? may_be(file, "", network) : classes);
}

}  // namespace distill
