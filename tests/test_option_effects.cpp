// Whatever an option is said to be part of what is trained changes what is trained, and the optimiser does what its options say.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base_csv.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "short_training.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

namespace {

using OptionValues = std::vector<std::pair<std::string, std::string>>;

/// Without which an option has nothing to act on.
OptionValues needed(const std::string& option) {
    if (option == "temperature") return {{"alpha", "1"}};
    if (option == "no-residual-by") return {{"no-residual", "on"}};
    if (option == "review-from" || option == "review-to") return {{"review-from", "1"}, {"review-to", "1"}};
    return {};
}

/// Other values than an option's own.
std::vector<std::string> alternatives(const TableOption& option) {
    const std::string now = option.get();
    if (now == "on" || now == "off") return {now == "on" ? "off" : "on"};
    if (option.type == "INT") return {std::to_string(std::stoll(now) + 1)};
    if (option.type == "NUMBER") return {now == "auto" ? "3" : number(std::stod(now) / 2 + 0.125)};
    std::vector<std::string> others;
    if (option.name == "negatives-count") return {"5"};
    for (const std::string& choice : option.choices)
        if (choice != now) others.push_back(choice);
    return others;
}

/// Has it no other value than its own?
bool refuses(const Form& form, const std::string& option) {
    const std::string name = form.row->name;
    if (name == "ab" || name == "fsp") return option == "alpha" || option == "beta";
    return name == "kd-svd" && form.benchmark && option == "mixing";
}

/// A form's training with these values of its options. InputError where they do not go together.
struct Chosen {
    Chosen(const Form& form, const OptionValues& values) : training(form) {
        training.method.options->add_to(table);
        for (const auto& [name, value] : values)
            if (table.has(name)) table.set(name, value, "the test");
    }
    Outcome outcome() {
        Options settled = training.small.options;
        if (!dynamic_cast<KtgOptions*>(training.method.options.get())) training.method.options->settle(settled);  // it has its graph
        return training.outcome("r");
    }
    ShortTraining training;
    OptionTable table;
};

}  // namespace

TEST_CASE("option effects: each of a method's own options changes what is trained" * doctest::test_suite("no kernels")) {
    for (const Form& form : forms()) {
        std::map<OptionValues, Outcome> bases;
        const Chosen defaults(form, {});
        for (const TableOption& option : defaults.table.options()) {
            const OptionValues before = needed(option.name);
            Chosen base(form, before);
            if (option.role != Role::substance) continue;
            for (const std::string& value : alternatives(base.table.at(option.name))) {
                CAPTURE(form.name());
                CAPTURE(option.name);
                CAPTURE(value);
                if (bases.count(before) == 0) bases[before] = base.outcome();
                OptionValues after = before;
                after.emplace_back(option.name, value);
                bool differs = false;
                const std::string refused = complaint([&] { differs = !(Chosen(form, after).outcome() == bases[before]); });
                CHECK_MESSAGE((differs || refuses(form, option.name)), "the same losses and weights");
                CHECK_MESSAGE(refused.empty() == !refuses(form, option.name), refused);
            }
        }
    }
}

TEST_CASE("option effects: each option of every training changes what is trained" * doctest::test_suite("no kernels")) {
    const Workplace folder(72);
    const auto weights = [&](const std::string& run, const std::string& options) {
        succeed(folder,
                "train --net resnet8 --dataset s --batch 16 --epochs 2 --lr 0.1 --lr-steps 1 --nesterov on --winograd on --threads 1 "
                "--quiet --run " +
                    run + " " + options);
        std::vector<float> all;
        for (const auto& [name, tensor] : read_safetensors(folder / run / "student.safetensors").tensors)
            all.insert(all.end(), tensor.data.begin(), tensor.data.end());
        return all;
    };
    const std::vector<float> base = weights("base", ""), again = weights("again", "");
    CHECK(base == again);
    int n = 0;
    for (const char* other : {"--batch 8", "--epochs 3", "--lr 0.05", "--lr-steps 9", "--momentum 0.5", "--weight-decay 0",
                              "--nesterov off", "--seed 1", "--normalize none", "--augment none", "--crop-pad reflect", "--shuffle off",
                              "--drop-last on", "--winograd off", "--max-steps 3", "--per-class 10", "--val 10"})
        CHECK_MESSAGE(weights("other" + std::to_string(n++), other) != base, other);
}

TEST_CASE("option effects: a first step is lr, momentum, Nesterov and weight decay as the options say") {
    const auto moved = [](double momentum, bool nesterov, double decay, std::vector<float>* start = nullptr) {
        SmallTraining t;
        t.options.momentum = momentum;
        t.options.nesterov = nesterov;
        t.options.weight_decay = decay;
        t.options.max_steps = 1;
        const auto method = supervised(t.setting(), t.options);
        const std::vector<float> before = method->parameters().values().to_host();
        t.train("r", *method);
        std::vector<float> after = method->parameters().values().to_host();
        for (size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
        if (start) *start = before;
        return after;
    };
    std::vector<float> start;
    const std::vector<float> plain = moved(0.9, false, 0, &start);
    const auto check = [&](const char* what, const std::vector<float>& step, const std::function<double(size_t)>& expected) {
        double worst = 0, largest = 0;
        for (size_t i = 0; i < step.size(); ++i) {
            worst = worse(worst, std::abs(static_cast<double>(step[i]) - expected(i)));
            largest = std::max(largest, std::abs(expected(i)));
        }
        CHECK_MESSAGE(worst < 1e-4 * largest, what);
    };
    CHECK(*std::max_element(plain.begin(), plain.end()) > 0);
    check("momentum alone does nothing yet", moved(0.3, false, 0), [&](size_t i) { return static_cast<double>(plain[i]); });
    for (const double momentum : {0.9, 0.3})
        check("Nesterov", moved(momentum, true, 0), [&](size_t i) { return (1 + momentum) * static_cast<double>(plain[i]); });
    const double lr = SmallTraining().options.lr, decay = 0.1;
    check("weight decay", moved(0.9, false, decay),
          [&](size_t i) { return static_cast<double>(plain[i]) - lr * decay * static_cast<double>(start[i]); });
}
