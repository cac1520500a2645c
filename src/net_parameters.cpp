#include "net_parameters.h"

#include <set>
#include <utility>

#include "base_error.h"
#include "base_texts.h"
#include "core_backend.h"
#include "core_philox.h"
#include "launch_kernels.h"

namespace distill {
namespace {

constexpr int64_t alignment = 16;  // floats: every parameter starts on its own cache line

int64_t aligned(int64_t n) { return (n + alignment - 1) / alignment * alignment; }

std::vector<float> drawn(const Init& init, int64_t count, uint64_t key) {
    std::vector<float> values(static_cast<size_t>(count), init.value);
    if (init.kind == Init::Kind::constant) return values;
    for (int64_t i = 0; i < count; ++i) {
        const Random4 r = philox(key, static_cast<uint64_t>(i));
        float& v = values[static_cast<size_t>(i)];
        v = init.kind == Init::Kind::uniform ? (2.0f * uniform(r.v[0]) - 1.0f) * init.value : normal(r.v[0], r.v[1]) * init.value;
    }
    return values;
}

std::vector<int64_t> file_shape(Layout layout, const Shape& s) {
    switch (layout) {
        case Layout::convolution: return {s.n, s.c, s.h, s.w};
        case Layout::matrix: return {s.n, s.c};
        case Layout::vector: return {s.c};
    }
    return {};
}

/// (K,R,S,C) ↔ O,I,kh,kw; the other layouts lie the same in both.
std::vector<float> reordered(const std::vector<float>& from, Layout layout, const Shape& s, bool to_file) {
    if (layout != Layout::convolution) return from;
    std::vector<float> to(from.size());
    const int64_t taps = s.h * s.w;
    for (int64_t k = 0; k < s.n; ++k)
        for (int64_t tap = 0; tap < taps; ++tap)
            for (int64_t c = 0; c < s.c; ++c) {
                const auto ours = static_cast<size_t>((k * taps + tap) * s.c + c), theirs = static_cast<size_t>((k * s.c + c) * taps + tap);
                to_file ? to[theirs] = from[ours] : to[ours] = from[theirs];
            }
    return to;
}

std::string shape_text(const std::vector<int64_t>& shape) {
    std::string s = "[";
    for (size_t i = 0; i < shape.size(); ++i) s += (i ? "," : "") + std::to_string(shape[i]);
    return s + "]";
}

/// "a, b, c and 12 more".
std::string listed(const std::vector<std::string>& names) {
    constexpr size_t shown = 6;
    std::string s;
    for (size_t i = 0; i < names.size() && i < shown; ++i) s += (i ? ", " : "") + names[i];
    return names.size() > shown ? s + text(" and ", names.size() - shown, " more") : s;
}

}  // namespace

Var Parameters::add(Entry entry) {
    if (!names_.insert(entry.name).second) failure("Parameters: '", entry.name, "' is registered twice");
    int64_t& count = entry.buffer ? buffer_count_ : value_count_;
    entry.offset = count;
    count += aligned(entry.shape.size());
    entry.var = Var(Tensor(), trainable_ && !entry.buffer);
    entries_.push_back(entry);
    return entry.var;
}

Var Parameters::add(const std::string& name, Shape shape, Layout layout, Init init) {
    return add({name, network_, shape, layout, init, false, 0, {}});
}
Var Parameters::add_buffer(const std::string& name, Shape shape, float value) {
    return add({name, network_, shape, Layout::vector, Init::constant(value), true, 0, {}});
}
Var Parameters::add_table(const std::string& name, Shape shape, Init init) {
    return add({name, network_, shape, Layout::matrix, init, true, 0, {}});
}

std::string Parameters::belongs_to(const std::string& network) { return std::exchange(network_, network); }

std::shared_ptr<const Updates> Parameters::count_updates() {
    if (!updates_) updates_ = std::make_shared<Updates>();
    return updates_;
}

void Parameters::allocate(uint64_t start) {
    values_ = Tensor::zeros(*backend_, {1, 1, 1, value_count_});
    buffers_ = Tensor::zeros(*backend_, {1, 1, 1, buffer_count_ + (updates_ ? alignment : 0)});
    if (updates_) *updates_ = {start, buffers_.view(buffer_count_, {})};
    if (trainable_) {
        gradients_ = Tensor::zeros(*backend_, {1, 1, 1, value_count_});
        momenta_ = Tensor::zeros(*backend_, {1, 1, 1, value_count_});
    }
    if (backend_->activation_type() == DType::bf16) rounded_ = Tensor(*backend_, values_.shape(), DType::bf16);
    for (Entry& e : entries_) {
        Tensor place = (e.buffer ? buffers_ : values_).view(e.offset, e.shape);
        place.upload(drawn(e.init, e.shape.size(), random_key(start, Purpose::init, hash_name(e.network + "/" + e.name))).data());
        e.var.node().value = place;
        if (!e.buffer && rounded_.defined()) e.var.node().rounded = rounded_.view(e.offset, e.shape);
    }
    values_changed();
    if (trainable_) begin_backward();
}

void Parameters::require_memory() const {
    if (!entries_.empty() && !entries_.back().var.value().defined())
        failure("Parameters: '", entries_.back().name,
                "' has no memory ---> call allocate(options.start()) behind the last module, at the end of a method's constructor");
}

void Parameters::values_changed() const {
    if (rounded_.defined()) convert(values_, rounded_);
}

int64_t Parameters::count(const std::string& prefix) const {
    int64_t total = 0;
    for (const Entry& e : entries_)
        if (!e.buffer && starts_with(e.name, prefix)) total += e.shape.size();
    return total;
}

std::vector<Segment> Parameters::segments(const std::string& prefix) const {
    std::vector<Segment> all;
    for (const Entry& e : entries_)
        if (!e.buffer && starts_with(e.name, prefix)) all.push_back({e.offset, e.shape.size()});
    return all;
}

std::vector<Segment> Parameters::reached() const {
    std::vector<Segment> all;
    for (const Entry& e : entries_) {
        if (e.buffer || !e.var.node().has_gradient) continue;
        if (all.empty() || all.back().offset + all.back().size != e.offset) all.push_back({e.offset, 0});
        all.back().size += aligned(e.shape.size());
    }
    return all;
}

void Parameters::begin_backward(const Tensor& into) {
    Tensor target = into;
    target.zero();
    for (Entry& e : entries_) {
        if (e.buffer) continue;
        Node& node = e.var.node();
        node.gradient_home = target.view(e.offset, e.shape);
        node.gradient = Tensor();
        node.has_gradient = false;
    }
}

std::string Parameters::name_of(const Tensor& tensor) const {
    for (const Entry& e : entries_)
        if (e.var.value().raw() == tensor.raw()) return e.name;
    return "";
}

std::map<std::string, HostTensor> Parameters::to_file(const std::string& prefix) const {
    require_memory();
    std::map<std::string, HostTensor> tensors;
    for (const Entry& e : entries_)
        if (starts_with(e.name, prefix))
            tensors[e.name.substr(prefix.size())] = {file_shape(e.layout, e.shape),
                                                     reordered(e.var.value().to_host(), e.layout, e.shape, true)};
    return tensors;
}

std::map<std::string, std::vector<int64_t>> Parameters::file_shapes(const std::string& prefix) const {
    std::map<std::string, std::vector<int64_t>> shapes;
    for (const Entry& e : entries_)
        if (starts_with(e.name, prefix)) shapes[e.name.substr(prefix.size())] = file_shape(e.layout, e.shape);
    return shapes;
}

void Parameters::from_file(const WeightFile& file, const std::string& path, const std::string& prefix, const std::string& may_be) {
    require_memory();
    std::vector<std::string> missing, extra, wrong;
    std::set<std::string> known;
    for (const Entry& e : entries_) {
        if (!starts_with(e.name, prefix)) continue;
        const std::string name = e.name.substr(prefix.size());
        known.insert(name);
        const auto found = file.tensors.find(name);
        if (found == file.tensors.end())
            missing.push_back(name);
        else if (const auto expected = file_shape(e.layout, e.shape); found->second.shape != expected)
            wrong.push_back(name + ": found " + shape_text(found->second.shape) + ", expected " + shape_text(expected));
    }
    for (const auto& [name, tensor] : file.tensors)
        if (!known.count(name)) extra.push_back(name);
    if (!missing.empty() || !extra.empty() || !wrong.empty()) {
        std::string what;
        if (!wrong.empty()) what += "; wrong shapes: " + listed(wrong);
        if (!missing.empty()) what += "; missing: " + listed(missing);
        if (!extra.empty()) what += "; not of this network: " + listed(extra);
        input_error(path, ": these are not the weights of this network", what, may_be, "; name the network the file was saved from");
    }
    for (Entry& e : entries_) {
        if (!starts_with(e.name, prefix)) continue;
        const HostTensor& t = file.tensors.at(e.name.substr(prefix.size()));
        Tensor place = e.var.value();
        place.upload(reordered(t.data, e.layout, e.shape, false).data());
    }
    values_changed();
}

}  // namespace distill
