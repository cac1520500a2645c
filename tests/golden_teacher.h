// golden_teacher.h: what PyTorch fixtures of distillations begin with: a teacher of formula weights, from a file as a user's comes; and, for
// methods that remember every training image, memories and negatives of the formula.
// defines: testing::golden_teacher_file, testing::golden_teacher, testing::MemoryGolden, testing::check_all_but_classifier_learn
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base_safetensors.h"
#include "golden_formula.h"
#include "gradcheck.h"
#include "method.h"
#include "method_teacher.h"
#include "net_table.h"
#include "setting.h"
#include "train_options.h"

namespace distill::testing {

/// Writes a teacher's file of formula weights; its path.
inline fs::path golden_teacher_file(const TempFolder& folder, Backend& backend, const std::string& network, int classes) {
    Parameters shapes(backend, false);
    make_network(network, classes, shapes);
    shapes.allocate(0);
    const fs::path file = folder / "teacher.safetensors";
    write_safetensors(file, golden_weights(shapes, "", "teacher.", true));
    return file;
}

/// options.teacher's; options.teacher_weights names the file, which is gone when it has been read.
inline std::unique_ptr<Teacher> golden_teacher(Backend& backend, Options& options, int classes) {
    const TempFolder folder;
    options.teacher_weights = golden_teacher_file(folder, backend, options.teacher, classes).string();
    return Teacher::load(backend, options, classes);
}

/// resnet14 → resnet8 by a method with memories of 80 images: networks, modules and memories of formula weights, five negatives an image given.
struct MemoryGolden {
    static constexpr int64_t records = 80, batch_size = 8, negatives = 5, steps = 4;
    Options options;
    std::unique_ptr<Teacher> teacher;
    std::vector<int32_t> labels;
    std::unique_ptr<Method> method;

    /// `as_it_starts`: a tensor that the formula leaves alone; empty: none.
    explicit MemoryGolden(const MethodOptions& own, const std::string& as_it_starts = "") {
        options.student = "resnet8";
        options.teacher = "resnet14";
        options.batch = batch_size;
        teacher = golden_teacher(exact_cpu(), options, 100);
        for (int64_t n = 0; n < records; ++n) labels.push_back(static_cast<int32_t>(golden_hash("labels", static_cast<uint64_t>(n)) % 100));
        method = own.make({exact_cpu(), {1, 32, 32, 3}, 100, records, {teacher.get()}, &labels}, options);
        WeightFile start = golden_weights(method->parameters(), "", "");
        start.tensors.erase(as_it_starts);
        auto& given = start.tensors["negatives"];
        given.shape = {steps, batch_size, negatives};
        for (uint64_t i = 0; i < steps * batch_size * negatives; ++i)
            given.data.push_back(static_cast<float>(golden_hash("negatives", i) % records));
        method->take_start(start, "the formula");
        method->parameters().from_file(start, "the formula");
    }
    virtual ~MemoryGolden() = default;

    /// Batches 0, 1, 0, …
    virtual Batch batch(int32_t step) const {
        const int64_t at = step % 2;
        Batch b = golden_batch(exact_cpu(), at);
        b.step = integers(exact_cpu(), {step});
        std::vector<int32_t> own;
        for (int64_t i = 0; i < batch_size; ++i) own.push_back(static_cast<int32_t>(at * batch_size + i));
        b.records = integers(exact_cpu(), own);
        return b;
    }
    StepResult step(Tape& tape, int32_t number) const { return recorded_step(*method, tape, batch(number)); }
};

/// The loss's gradient is there for every parameter but the student's classifier.
inline void check_all_but_classifier_learn(Method& method, Tape& tape, const Var& loss) {
    method.parameters().begin_backward();
    tape.backward(loss);
    Tensor values = method.parameters().values();  // so that gradients have names
    values.copy_from(method.parameters().gradients());
    for (const auto& [name, tensor] : method.parameters().to_file()) {
        if (name.find("running") != std::string::npos || name.find("memory") == 0) continue;
        double sum = 0;
        for (const float v : tensor.data) sum += std::fabs(static_cast<double>(v));
        CAPTURE(name);
        CHECK((sum > 0) == (name.find("student.fc") == std::string::npos));
    }
}

}  // namespace distill::testing
