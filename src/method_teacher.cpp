#include "method_teacher.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "base_weight_files.h"
#include "net_foreign_weights.h"
#include "net_table.h"

namespace distill {

Teacher::Teacher(Backend& backend, const Options& options, int classes, int stream) : Teacher(backend, stream) {
    add_network(options, classes);
    parameters_.allocate(options.start());
}

void Teacher::add_network(const Options& options, int classes) {
    if (options.teacher.empty()) input_error("--teacher: no network named; there are: ", network_names());
    network_ = make_network(options.teacher, classes, parameters_);
}

std::unique_ptr<Teacher> Teacher::load(Backend& backend, const Options& options, int classes, int stream) {
    std::unique_ptr<Teacher> teacher(new Teacher(backend, stream));
    teacher->add_network(options, classes);
    if (options.teacher_weights.empty())
        input_error("--teacher-weights: the teacher's file is missing; train one with: distill train --net ", options.teacher,
                    " --dataset ", options.dataset, " --save teacher.safetensors");
    WeightFile file = read_weights(options.teacher_weights);
    require_network(options.teacher_weights, file.metadata, options.teacher, classes);
    if (!own_word(file.metadata, "network").empty())
        require_enough(file, options.teacher_weights, *teacher->network_, teacher->parameters_);
    teacher->parameters_.allocate(options.start());
    teacher->file_ = options.teacher_weights;
    teacher->metadata_ = file.metadata;
    take_network(teacher->parameters_, "", std::move(file), options.teacher_weights, *teacher->network_);
    return teacher;
}

void require_network(const std::string& file, const std::map<std::string, std::string>& metadata, const std::string& network, int classes) {
    const std::pair<std::string, std::string> expected[] = {{"network", network}, {"classes", classes > 0 ? std::to_string(classes) : ""}};
    for (const auto& [key, here] : expected)
        if (const std::string said = own_word(metadata, key); !said.empty() && !here.empty() && said != here)
            input_error(file, ": the ", key, ": the file says ", said, ", expected ", here, "; name one that was trained for this");
}

Beside<Output> Teacher::operator()(const Var& images, Keep keep, Mode mode) const {
    const OnStream beside(images.backend(), stream_);
    const NoGrad no_grad;
    return {images.backend(), stream_, network_->forward(images, mode, keep)};
}

int generation_after(const std::map<std::string, std::string>& metadata) {
    constexpr long most = 1000;
    const long generation = std::strtol(own_word(metadata, "generation").c_str(), nullptr, 10);
    return static_cast<int>(std::clamp(generation, 0L, most)) + 1;
}

void settle_teachers(Options& o) {
    if (o.teachers.empty())
        input_error("--teachers: no teacher; name their files (one.safetensors,two.safetensors); distill train --net NAME --dataset ",
                    o.dataset, " --save one.safetensors makes one, and --train-teachers 3 --teacher-nets NAME three");
    const std::vector<std::string> files = split(o.teachers, ',');
    std::vector<std::string> nets = o.teacher_nets.empty() ? std::vector<std::string>(files.size()) : split(o.teacher_nets, ',');
    if (nets.size() == 1) nets.resize(files.size(), nets.front());
    if (nets.size() != files.size())
        input_error("--teacher-nets ", o.teacher_nets, ": ", nets.size(), " networks for the ", files.size(),
                    " files of --teachers; name one for each, or one for all");
    o.teacher.clear();
    for (size_t i = 0; i < files.size(); ++i) {
        if (files[i].empty()) input_error("--teachers ", o.teachers, ": file ", i, " (counted from 0) has no name; take out the comma");
        if (nets[i].empty()) {
            nets[i] = own_word(read_weights(files[i]).metadata, "network");
            if (nets[i].empty())
                input_error(files[i], ": does not say which network it is; name it with --teacher-nets; there are: ", network_names());
        }
        o.teacher += (i == 0 ? "" : "+") + nets[i];
    }
    if (o.teacher_nets.empty()) o.teacher_nets = joined(nets, ",");  // else it stays as it was given, and as a resumed run finds it
}

Teachers load_teachers(Backend& backend, const Options& options, int classes) {
    Teachers teachers;
    if (options.teachers.empty()) {
        teachers.push_back(Teacher::load(backend, options, classes));
        return teachers;
    }
    const std::vector<std::string> files = split(options.teachers, ','), nets = split(options.teacher, '+');
    Options one = options;
    for (size_t i = 0; i < files.size(); ++i) {
        one.teacher = nets[i];
        one.teacher_weights = files[i];
        const int stream = static_cast<int>(i) + 1;
        const bool untrained = options.check_only && options.train_teachers > 0 && !fs::exists(files[i]);
        teachers.push_back(untrained ? std::make_unique<Teacher>(backend, one, classes, stream)
                                     : Teacher::load(backend, one, classes, stream));
    }
    return teachers;
}

std::vector<const Teacher*> pointers(const Teachers& teachers) {
    std::vector<const Teacher*> all;
    for (const auto& teacher : teachers) all.push_back(teacher.get());
    return all;
}

}  // namespace distill
