#include "run_session.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base_error.h"
#include "base_files.h"
#include "base_notes.h"
#include "base_texts.h"
#include "base_weight_files.h"
#include "core_backend.h"
#include "core_conv_plan_store.h"
#include "data_class_order.h"
#include "device.h"
#include "net_foreign_weights.h"

namespace distill {
namespace {

bool of_student(const std::string& name) { return starts_with(name, student_prefix); }

/// Moves the tensors of the modules that are trained first, on their own, from `file` into their Parameters. Returns whether any were
/// found.
bool take_prepared(const Phase& first, const Parameters& trained_later, WeightFile& file, const std::string& path) {
    if (!first.parameters || first.parameters == &trained_later) return false;
    WeightFile theirs;
    for (const auto& [name, unused] : first.parameters->to_file())
        if (auto found = file.tensors.extract(name)) theirs.tensors.insert(std::move(found));
    if (!theirs.tensors.empty()) return first.parameters->from_file(theirs, path), true;
    if (first.epochs == 0)
        input_error(path, ": nothing of ", first.parameters->to_file().begin()->first, " and its kin is in it, and no epochs are given to ",
                    "train them first; name the helpers.safetensors of a run that did, or give it epochs");
    return false;
}

/// A classifier of another number of classes stays as it was drawn; what comes before it is worth starting from all the same.
void leave_other_classifier(const std::map<std::string, HostTensor>& own, WeightFile& file, const std::string& prefix,
                            const std::string& path, const std::string& classifier) {
    std::vector<std::pair<HostTensor*, const HostTensor*>> theirs_and_ours;
    for (const std::string& name : {classifier + ".weight", classifier + ".bias"}) {
        const auto theirs = file.tensors.find(prefix + name);
        const auto ours = own.find(student_prefix + name);
        if (theirs == file.tensors.end() || ours == own.end()) return;
        const std::vector<int64_t>&found = theirs->second.shape, &here = ours->second.shape;
        if (found.size() != here.size() || found[0] == here[0] || !std::equal(found.begin() + 1, found.end(), here.begin() + 1)) return;
        theirs_and_ours.emplace_back(&theirs->second, &ours->second);
    }
    const auto& [weight, own_weight] = theirs_and_ours.front();
    tell_once(text("note: ", path, ": its classifier is one of ", weight->shape[0], " classes, here there are ", own_weight->shape[0],
                   ": all but the classifier (", classifier, ") is taken from it"));
    for (auto& [theirs, ours] : theirs_and_ours) *theirs = *ours;
}

void set_start_weights(Parameters& parameters, WeightFile file, const std::string& path, const Network& student) {
    require_network(path, file.metadata, student.name(), 0);
    const auto own = parameters.to_file();
    if (std::all_of(own.begin(), own.end(), [](const auto& t) { return of_student(t.first); })) keep_student(file, path);
    bool has_student = false, has_helpers = false;
    for (const auto& [name, unused] : file.tensors) {
        has_student |= of_student(name);
        has_helpers |= !of_student(name) && own.count(name) > 0;
    }
    if (has_helpers && !has_student)  // the student stays as it is
        for (const auto& [name, tensor] : own)
            if (of_student(name)) file.tensors[name] = tensor;
    const bool plain = !has_student && !has_helpers;
    const std::string prefix = plain ? "" : student_prefix;
    const std::string guess = to_own_conventions(file, prefix, student, parameters.file_shapes(student_prefix));
    if (!guess.empty()) tell_once(text("note: ", path, ": ", guess));
    leave_other_classifier(own, file, prefix, path, student.classifier_name());
    parameters.from_file(file, path, plain ? student_prefix : "", may_be(file, prefix, student));
}

}  // namespace

LoaderOptions Session::loader_options(const Options& o) const {
    LoaderOptions l;
    l.batch = o.batch;
    l.shuffle = o.shuffle;
    l.drop_last = o.drop_last;
    l.start = o.start();
    l.augmentation.crop_flip = o.augment == "crop-flip";
    l.augmentation.reflect = o.crop_pad == "reflect";
    l.normalization = normalization;
    return l;
}

Setting Session::setting() const {
    return {*backend, {1, data->height, data->width, 3}, data->classes, data->train.records, pointers(teachers), &data->train.labels};
}

Session Session::beside(const Options& o) const {
    Session session;
    session.backend = make_backend(o.device, device_options(o));  // also this thread's number of OpenMP threads
    recall_machine_conv_plans(*session.backend);
    session.data = data;
    session.on_device = on_device;
    session.normalization = normalization;
    if (!teachers.empty()) session.teachers = load_teachers(*session.backend, o, data->classes);
    return session;
}

std::string Session::data_sha256() const {
    std::string digests;
    for (const auto& [images, part] : {std::pair(&on_device->train, &data->train), {&on_device->test, &data->test}}) {
        const std::vector<uint8_t> pixels = on_device->image_bytes(*images);
        digests += sha256_hex({reinterpret_cast<const char*>(pixels.data()), pixels.size()});
        digests += sha256_hex({reinterpret_cast<const char*>(part->labels.data()), part->labels.size() * sizeof(int32_t)});
    }
    return sha256_hex(digests);
}

Session open_session(Options& o) {
    Session session;
    session.backend = make_backend(o.device, device_options(o));
    recall_machine_conv_plans(*session.backend);  // before the first convolution, that of a teacher's test
    o.device = session.backend->device() == Device::cpu ? "cpu" : "cuda";
    o.threads = omp_get_max_threads();
    auto data = std::make_shared<Dataset>(load_dataset(o.data, o.dataset));
    session.normalization = resolve_normalization(o.normalize, *data, o.normalize_auto);
    o.normalize = to_string(session.normalization);
    constexpr uint64_t split_seed = 0;  // the same split for every seed of a run, so that validation accuracies compare
    if (o.per_class > 0) keep_per_class(*data, o.per_class);
    if (o.validation > 0) hold_out_validation(*data, o.validation, split_seed);
    session.on_device = std::make_shared<DeviceData>(*session.backend, *data);
    for (Split* part : {&data->train, &data->test}) std::vector<uint8_t>().swap(part->pixels);  // all that is large
    session.data = std::move(data);
    return session;
}

std::unique_ptr<Method> start_method(Session& session, const Options& o, const MethodFactory& make) {
    const auto require_fit = [&](const Network& network) { network.require_images(session.data->height, session.data->width); };
    for (const auto& teacher : session.teachers) require_fit(teacher->network());
    std::unique_ptr<Method> method = make(session, o);
    require_fit(method->student());
    for (const OtherNetwork& other : method->others())
        if (other.network) require_fit(*other.network);
    if (o.init.empty()) return method;
    WeightFile file = read_weights(o.init);
    method->take_start(file, o.init);
    bool took = false;
    for (const Phase& phase : method->phases()) took |= take_prepared(phase, method->parameters(), file, o.init);
    if (!took || !file.tensors.empty()) set_start_weights(method->parameters(), std::move(file), o.init, method->student());
    return method;
}

std::map<std::string, std::string> load_weights(Parameters& parameters, const std::string& path, const Network& network) {
    WeightFile file = read_weights(path);
    require_network(path, file.metadata, network.name(), network.classes());
    const std::map<std::string, std::string> metadata = file.metadata;
    take_network(parameters, student_prefix, std::move(file), path, network);
    return metadata;
}

void warn_if_trained_otherwise(const std::string& path, const std::map<std::string, std::string>& metadata, const Options& o,
                               const Dataset& data) {
    for (const auto& [key, here] : {std::pair<std::string, std::string>{"dataset", o.dataset}, {"normalization", o.normalize}}) {
        const std::string said = known_word(metadata, key);
        if (!said.empty() && said != here)
            tell_once(text("warning: ", path, " was trained with ", key, " ", said, ", here it meets ", here));
    }
    if (const std::string difference = compare_classes(metadata, data).difference; !difference.empty())
        tell_once(text("warning: ", path, " was trained on other classes, or in another order: ", difference));
}

void require_same_classes(const std::string& path, const std::map<std::string, std::string>& metadata, const Options& o,
                          const Dataset& data) {
    constexpr const char* remedy = "; name a network that was trained on these, or add --other-classes if that is meant";
    const ClassOrder classes = compare_classes(metadata, data);
    if (o.other_classes) return;
    if (!classes.difference.empty()) input_error(path, ": was trained on other classes, or in another order: ", classes.difference, remedy);
    const std::string dataset = known_word(metadata, "dataset");
    if (!classes.known && !dataset.empty() && dataset != o.dataset)
        input_error(path, ": was trained on data set ", dataset, ", here is ", o.dataset, ", and whether the classes are the same is not ",
                    "on file", remedy);
}

void require_finite(const std::string& path, const Network& network, const Evaluation& test) {
    if (!std::isfinite(test.loss))
        input_error(path, ": with these weights the test loss of ", network.name(), " is ", test.loss,
                    ", expected a finite number: they are too large to compute with; name another file, or train the network anew");
}

void warn_of_normalization(const std::string& six_numbers) {
    Normalization n = resolve_normalization(six_numbers, {}, "none");
    for (float* v : {n.mean, n.std})
        for (int c = 0; c < 3; ++c) {
            if (v[c] > 1) return;
            v[c] *= 255;
        }
    std::printf("warning: --normalize %s: all six numbers are at most 1, but they are of 255; is %s meant?\n", six_numbers.c_str(),
                to_string(n).c_str());
}

}  // namespace distill
