#include "method_memory.h"

#include <algorithm>
#include <cmath>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "core_philox.h"
#include "data_loader.h"
#include "net.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr const char* labels_key = "memory_labels_sha256";  // of helpers.safetensors
constexpr const char* remedy = "; name a file of a run on these images, or of the student alone";

Tensor integers_on(Backend& backend, Shape shape, const std::vector<int32_t>& values) {
    Tensor t = Tensor::integers(backend, shape);
    t.upload(values.data());
    return t;
}
Tensor integers_on(Backend& backend, const std::vector<int32_t>& values) {
    return integers_on(backend, {1, 1, 1, static_cast<int64_t>(values.size())}, values);
}

struct ClassLists {
    std::vector<int32_t> by_class, rank, begin;  ///< as NegativeDraws has them
    int64_t largest = 0;                         ///< images of a class
};

ClassLists lists_of(const std::vector<int32_t>& labels, int classes) {
    ClassLists l;
    l.begin.resize(static_cast<size_t>(classes) + 1);
    for (const int32_t label : labels) ++l.begin[static_cast<size_t>(label) + 1];
    for (size_t c = 1; c < l.begin.size(); ++c) {
        l.largest = std::max<int64_t>(l.largest, l.begin[c]);
        l.begin[c] += l.begin[c - 1];
    }
    std::vector<int32_t> next = l.begin;
    l.by_class.resize(labels.size());
    l.rank.resize(labels.size());
    for (size_t record = 0; record < labels.size(); ++record) {
        const int32_t place = next[static_cast<size_t>(labels[record])]++;
        l.rank[record] = place;
        l.by_class[static_cast<size_t>(place)] = static_cast<int32_t>(record);
    }
    return l;
}

Init start_of(int64_t width) { return Init::uniform(std::sqrt(3.0f / static_cast<float>(width))); }

}  // namespace

Embedding::Embedding(Parameters& p, const std::string& name, const Network& network, int64_t width) {
    const int64_t in = network.pooled_channels();
    if (in == 0) input_error(network.name(), ": has no pooled vector before its classifier to embed; choose another network");
    linear_ = Linear(p, name + ".linear", in, width);
}

Var Embedding::operator()(const Output& output) const { return l2_normalize(linear_(output.pooled)); }

FeatureMemory::FeatureMemory(Parameters& p, const Setting& s, const Options& o, int64_t width, int64_t negatives, Fewer fewer)
    : records_(s.records),
      batch_(o.batch),
      backend_(s.backend),
      student_(p.add_table("memory.s", {s.records, 1, 1, width}, start_of(width))),
      teacher_(p.add_table("memory.t", {s.records, 1, 1, width}, start_of(width))),
      fewer_(fewer) {
    if (!s.labels || static_cast<int64_t>(s.labels->size()) != s.records)
        failure("FeatureMemory: ", s.records, " records and no label of each ---> Setting::labels");
    labels_sha256_ = sha256_hex({reinterpret_cast<const char*>(s.labels->data()), s.labels->size() * sizeof(int32_t)});
    const ClassLists lists = lists_of(*s.labels, s.classes);
    fewest_others_ = records_ - lists.largest;
    if (fewest_others_ == 0)
        input_error(o.dataset, ": its ", records_, " training images are of one class, and an image is contrasted with images of other ",
                    "classes; choose a data set of several");
    draws_ = {negatives, integers_on(backend_, lists.by_class),    integers_on(backend_, lists.rank), integers_on(backend_, lists.begin),
              false,     random_key(o.start(), Purpose::negatives)};
    draws_.repeats = repeats();
}

Tensor FeatureMemory::draw(const Batch& batch) const { return draw_negatives(draws_, batch.records, batch.labels, batch.step); }

void FeatureMemory::remember(const Batch& batch, const Var& student, const Var& teacher, float momentum) const {
    remember_rows(of_student(), batch.records, student.value(), momentum);
    remember_rows(of_teacher(), batch.records, teacher.value(), momentum);
}

std::map<std::string, std::string> FeatureMemory::metadata() const { return {{labels_key, labels_sha256_}}; }

void FeatureMemory::take_start(WeightFile& file, const std::string& path) {
    for (const char* name : {"memory.s", "memory.t"}) {
        const auto found = file.tensors.find(name);
        if (found == file.tensors.end()) continue;
        const std::vector<int64_t>& shape = found->second.shape;
        if (!shape.empty() && shape[0] != records_)
            input_error(path, ": ", name, " has a row for each of ", shape[0], " training images, here there are ", records_, remedy);
        if (const auto said = file.metadata.find(labels_key); said != file.metadata.end() && said->second != labels_sha256_)
            input_error(path, ": ", name, " is of ", records_, " other training images, whose labels have the SHA-256 ",
                        said->second.substr(0, 12), "…, here it is ", labels_sha256_.substr(0, 12), "…", remedy);
    }
    if (auto given = file.tensors.extract("negatives")) take_given(given.mapped(), path);
}

void FeatureMemory::take_given(const HostTensor& given, const std::string& path) {
    const std::vector<int64_t>& shape = given.shape;
    if (shape.size() != 3 || shape[0] < 1 || shape[1] != batch_ || shape[2] < 1) {
        std::vector<std::string> found;
        for (const int64_t extent : shape) found.push_back(std::to_string(extent));
        input_error(path, ": negatives: found shape [", joined(found, ","), "], expected [steps,", batch_,
                    ",K]: K training images for each image of a batch of --batch ", batch_);
    }
    std::vector<int32_t> indices(given.data.size());
    for (size_t i = 0; i < indices.size(); ++i) {
        const float v = given.data[i];
        if (v < 0 || v >= static_cast<float>(records_) || v != std::floor(v))
            input_error(path, ": negatives: element ", i, " (counted from 0) is ", v, ", expected the number of a training image, 0 to ",
                        records_ - 1);
        indices[i] = static_cast<int32_t>(v);
    }
    draws_.count = shape[2];
    draws_.repeats = repeats();
    draws_.given = integers_on(backend_, {shape[0], 1, shape[1], shape[2]}, indices);
}

}  // namespace distill
