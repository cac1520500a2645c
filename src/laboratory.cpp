#include "laboratory.h"

#include <omp.h>

#include <cstdio>

#include "backend.h"
#include "safetensors.h"

namespace distill {

LoaderOptions Laboratory::loader_options(const Options& o) const {
    LoaderOptions l;
    l.batch = o.batch;
    l.shuffle = o.shuffle;
    l.drop_last = o.drop_last;
    l.seed = o.seed;
    l.augmentation.crop_flip = o.augment == "crop-flip";
    l.augmentation.reflect = o.crop_pad == "reflect";
    l.normalization = normalization;
    return l;
}

Laboratory Laboratory::beside(const Options& o) const {
    Laboratory lab;
    lab.backend = make_backend(o.device, device_options(o));  // also this thread's number of OpenMP threads
    lab.data = data;
    lab.on_device = on_device;
    lab.normalization = normalization;
    if (!teachers.empty()) lab.teachers = load_teachers(*lab.backend, o, data->classes);
    return lab;
}

Laboratory open_laboratory(Options& o) {
    Laboratory lab;
    lab.backend = make_backend(o.device, device_options(o));
    o.device = lab.backend->device() == Device::cpu ? "cpu" : "cuda";
    o.threads = omp_get_max_threads();
    auto data = std::make_shared<Dataset>(load_dataset(o.data, o.dataset));
    lab.normalization = resolve_normalization(o.normalize, *data, o.normalize_auto);
    o.normalize = to_string(lab.normalization);
    constexpr uint64_t split_seed = 0;  // the same split for every seed of a run, so that validation accuracies compare
    if (o.validation > 0) hold_out_validation(*data, o.validation, split_seed);
    lab.on_device = std::make_shared<DeviceData>(*lab.backend, *data);
    lab.data = std::move(data);
    return lab;
}

std::unique_ptr<Method> start_method(Laboratory& lab, const Options& o, const MethodFactory& make) {
    std::unique_ptr<Method> method = make(lab, o);
    const auto require_fit = [&](const Network& network) { network.require_images(lab.data->height, lab.data->width); };
    require_fit(method->student());
    for (const OtherNetwork& other : method->others()) require_fit(*other.network);
    if (!o.init.empty()) load_start_weights(method->parameters(), o.init);
    return method;
}

std::map<std::string, std::string> load_start_weights(Parameters& parameters, const std::string& path) {
    const WeightFile file = read_safetensors(path);
    const auto first = file.tensors.lower_bound(student_prefix);
    const bool whole = first != file.tensors.end() && first->first.compare(0, student_prefix.size(), student_prefix) == 0;
    parameters.from_file(file, path, whole ? "" : student_prefix);
    return file.metadata;
}

void warn_if_trained_otherwise(const std::string& path, const std::map<std::string, std::string>& metadata, const Options& o) {
    for (const auto& [key, here] : {std::pair<std::string, std::string>{"dataset", o.dataset}, {"normalization", o.normalize}}) {
        const auto found = metadata.find(key);
        if (found != metadata.end() && found->second != here)
            std::printf("warning: %s was trained with %s %s, here it meets %s\n", path.c_str(), key.c_str(), found->second.c_str(),
                        here.c_str());
    }
}

}  // namespace distill
