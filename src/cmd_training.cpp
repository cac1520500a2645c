#include "cmd_training.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include "base_csv.h"
#include "base_error.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "cmd_feed_preset.h"
#include "cmd_ktg.h"
#include "cmd_mhgd.h"
#include "cmd_mhgd_preset.h"
#include "cmd_preset.h"
#include "core_backend.h"
#include "core_work_count.h"
#include "device.h"
#include "method_ab.h"
#include "method_fsp.h"
#include "method_ft.h"
#include "method_kd_svd.h"
#include "method_reviewkd.h"
#include "net_mhgd.h"
#include "net_table.h"
#include "run_answers.h"
#include "run_experiment.h"
#include "run_teachers.h"

namespace distill {
namespace {

/// A subcommand's options live as long as the program.
struct Command {
    Options options;
    std::unique_ptr<OptionTable> table;
};

/// `defaults`: the method's own, shown by --help.
std::shared_ptr<Command> add_command(CLI::App& app, const std::string& name, const std::string& help, bool distills, CLI::App*& sub,
                                     const Options& defaults = {}) {
    sub = app.add_subcommand(name, help);
    auto command = std::make_shared<Command>();
    command->options = defaults;
    command->table = std::make_unique<OptionTable>(*sub);
    add_training_options(*command->table, command->options, distills);
    return command;
}

/// A row of ReviewKD's. The benchmark that KD, the teachers and the students alone come from trains at batch 64, rate 0.05, plain momentum
/// (docs/papers.md §7).
void apply_review_preset(const std::string& subcommand, OptionTable& table, Options& options) {
    Preset preset(table, options.preset);
    const std::string &method = preset.row().method, reviewkd = "reviewkd";
    const bool plain = method == "teacher" || method == "student", review = method.compare(0, reviewkd.size(), reviewkd) == 0;
    preset.require(subcommand, plain ? "train" : review ? reviewkd : method == "kd" ? "kd" : "");
    preset.set_subject();
    if (!plain) preset.set("teacher", preset.row().teacher);
    if (!review) preset.set("batch", "64"), preset.set("lr", "0.05"), preset.set("nesterov", "off");
    static const std::map<std::string, std::vector<const char*>> ablations = {
        {"reviewkd", {}},
        {"reviewkd-all", {}},
        {"reviewkd-reproduction", {}},
        {"reviewkd-none", {"no-review", "no-hcl"}},
        {"reviewkd-r", {"no-residual", "no-abf", "no-hcl"}},
        {"reviewkd-r-res", {"no-abf", "no-hcl"}},
        {"reviewkd-r-res-abf", {"no-hcl"}},
        {"reviewkd-r-res-hcl", {"no-abf"}}};
    if (!review) return;
    const auto ablation = ablations.find(method);
    if (ablation == ablations.end()) input_error("--preset ", preset.row().id, ": found the unknown method '", method, "' in data/paper");
    for (const char* part : ablation->second) preset.set(part, "on");
}

/// A network trained alone as KTG's are; the graphs' rows are `ktg train`'s.
void apply_ktg_preset(const std::string& subcommand, OptionTable& table, Options& options) {
    Preset preset(table, options.preset);
    preset.require(subcommand, preset.row().method == "student" ? "train" : "ktg train");
    Options alone = ktg_defaults(true);
    alone.normalize = alone.normalize_auto;
    preset.set_schedule(alone);
    preset.set_subject();
}

/// --preset: what a row of data/paper says, unless it was given by hand.
void apply_preset(const std::string& subcommand, Command& c) {
    const std::string& id = c.options.preset;
    if (id.empty()) return;
    const auto apply = is_feed_preset(id)                ? apply_feed_preset
                       : is_mhgd_preset(id)              ? apply_mhgd_preset
                       : id.compare(0, 4, "ktg-") == 0 ? apply_ktg_preset
                                                         : apply_review_preset;
    apply(subcommand, *c.table, c.options);
}

void add_train(CLI::App& app) {
    CLI::App* sub = nullptr;
    auto c = add_command(app, "train", "train one network with cross-entropy", false, sub);
    sub->callback([c] {
        apply_preset("train", *c);
        run_experiment("train", *c->table, c->options, false,
                       [](Laboratory& lab, const Options& o) { return std::make_unique<Supervised>(*lab.backend, o, lab.data->classes); },
                       [](Options& o) { require_student(o, "--net"); });
    });
}

void settle_kd(const OptionTable& table, Options& o) {
    require_student(o);
    const bool several = o.kd_method == "ensemble";
    if (!several && o.train_teachers > 0)
        input_error("--train-teachers ", o.train_teachers, ": --method ", o.kd_method,
                    " has one teacher, of --teacher and --teacher-weights");
    if (!several && !o.teachers.empty())
        input_error("--teachers ", o.teachers, ": --method ", o.kd_method, " has one teacher, of --teacher and --teacher-weights");
    if (several && !o.teacher_weights.empty())
        input_error("--teacher-weights ", o.teacher_weights, ": --method ensemble has the teachers of --teachers; name them all there");
    if (o.kd_method == "ft" && o.paraphraser_epochs == 0 && o.init.empty())
        input_error("--paraphraser-epochs 0: needs a trained paraphraser; name the helpers.safetensors that has it with --init");
    if (several) settle_or_train_teachers(table, o);
}

template <class M>
std::unique_ptr<Method> from_one_teacher(Laboratory& lab, const Options& o) {
    return std::make_unique<M>(*lab.backend, o, lab.data->classes, *lab.teachers.front());
}

/// Methods that look at maps say before they begin whether those of images of this size pair.
template <class M>
std::unique_ptr<Method> from_one_teachers_maps(Laboratory& lab, const Options& o) {
    const Shape image{1, lab.data->height, lab.data->width, 3};
    return std::make_unique<M>(*lab.backend, o, lab.data->classes, *lab.teachers.front(), image);
}

/// Those of kd_methods that are no weighted sum of cross-entropy and KL.
const std::map<std::string, std::unique_ptr<Method> (*)(Laboratory&, const Options&)> map_methods = {
    {"ft", from_one_teacher<FactorTransfer>},
    {"fsp", from_one_teachers_maps<Fsp>},
    {"ab", from_one_teachers_maps<ActivationBoundary>},
    {"kd-svd", from_one_teacher<KdSvd>},
    {"kd-svdf", from_one_teacher<KdSvd>},
};

/// MHGD's baselines: by default they train as it does.
const std::set<std::string> of_mhgd = {"soft-logits", "fsp", "ab", "kd-svd", "kd-svdf"};

/// FEED's: they train as it does, so that they can be set beside it.
const std::set<std::string> of_feed = {"ensemble", "ban", "ft"};

/// What a method weighs by, unless given by hand: T, alpha, gamma.
const std::map<std::string, std::array<const char*, 3>> kd_weights = {{"ban", {"1", "1", "1"}}, {"soft-logits", {"4", "0.3", "0.7"}}};

std::unique_ptr<Method> make_kd(Laboratory& lab, const Options& o) {
    if (const auto found = map_methods.find(o.kd_method); found != map_methods.end()) return found->second(lab, o);
    return std::make_unique<KnowledgeDistillation>(*lab.backend, o, lab.data->classes, lab.teachers);
}

void add_kd(CLI::App& app) {
    CLI::App* sub = nullptr;
    Options benchmark;  // KD's training in the public benchmark
    benchmark.batch = 64;
    benchmark.lr = 0.05;
    benchmark.nesterov = false;
    auto c = add_command(app, "kd", "distil a teacher's logits: gamma*CE + alpha*T^2*KL; and its kin, with --method", true, sub, benchmark);
    Options& o = c->options;
    c->table->add("--method", o.kd_method, kd_methods,
                  "the loss: Hinton's; the same from --teachers' mean logits; born-again, CE + KL at T = 1; Factor Transfer; "
                  "0.7*CE + 0.3*KL at T = 4; FSP and AB, which initialise the student and then train it plainly; KD-SVD, relations of "
                  "singular vectors, or these themselves (kd-svdf). Unless told otherwise, ensemble, ban and ft train as distill feed does, "
                  "from soft-logits on as distill mhgd");
    add_teachers_options(*c->table, o);
    c->table->add("--temperature", o.temperature, {0, Range().high, true}, "T of both softmaxes");
    c->table->add("--alpha", o.alpha, {0}, "weight of T^2*KL(teacher || student)");
    c->table->add("--gamma", o.gamma, {0}, "weight of the cross-entropy");
    c->table->add("--beta", o.beta, {0}, "ft: weight of the distance between the factors");
    c->table->add("--paraphraser-rate", o.paraphraser_rate, {0, Range().high, true}, "ft: channels of a factor, of 1 of the map");
    c->table->add("--paraphraser-epochs", o.paraphraser_epochs, {0}, "ft: the paraphraser is trained so long first (0: --init has it)");
    c->table->add("--paraphraser-lr", o.paraphraser_lr, {0}, "ft: the constant rate of that training");
    c->table->add("--init-epochs", o.init_epochs, {1}, "fsp, ab: the student is trained so long on the teacher's maps alone first");
    add_mixing_option(*c->table, o);
    sub->callback([c] {
        apply_preset("kd", *c);
        const std::string& method = c->options.kd_method;
        const bool by_preset = !c->options.preset.empty();  // whose schedule it is then
        if (!by_preset && of_feed.count(method) > 0) set_schedule(*c->table, feed_defaults(), "--method " + method);
        if (of_mhgd.count(method) > 0) {
            set_schedule(*c->table, mhgd_defaults(), "--method " + method);
            c->options.normalize_auto = mhgd_defaults().normalize_auto;
        }
        if (const auto found = kd_weights.find(method); found != kd_weights.end())
            for (size_t i = 0; i < 3; ++i)
                c->table->set(std::array{"temperature", "alpha", "gamma"}[i], found->second[i], "--method " + method);
        run_experiment("kd", *c->table, c->options, true, make_kd, [c](Options& final) { settle_kd(*c->table, final); });
    });
}

void add_reviewkd(CLI::App& app) {
    CLI::App* sub = nullptr;
    auto c = add_command(app, "reviewkd", "Distilling Knowledge via Knowledge Review (CVPR 2021)", true, sub);
    Options& o = c->options;
    c->table->add("--kd-weight", o.kd_weight, {0}, "weight of the review loss; by default the authors' for the pair, else 1");
    c->table->add("--kd-warmup", o.kd_warmup, {0}, "epochs over which that weight rises from 0 (0: full at once)");
    c->table->add("--teacher-bn", o.teacher_bn, {"running", "batch"}, "statistics of the teacher's BatchNorm; batch is the authors' code");
    c->table->add_switch("--no-review", o.no_review, "ablation: each level by itself");
    c->table->add_switch("--no-residual", o.no_residual, "ablation: levels transformed separately and summed");
    c->table->add_switch("--no-abf", o.no_abf, "ablation: the residual is added, without attention");
    c->table->add_switch("--no-hcl", o.no_hcl, "ablation: plain MSE at full size");
    sub->callback([c] {
        apply_preset("reviewkd", *c);
        Options& options = c->options;
        if (!options.teacher.empty() && !options.student.empty()) {
            require_review_pair(options.teacher, options.student);
            if (!options.kd_weight) options.kd_weight = review_weight(options.teacher, options.student);
        }
        run_experiment("reviewkd", *c->table, options, true, [](Laboratory& lab, const Options& settled) {
            return std::make_unique<ReviewKD>(*lab.backend, settled, lab.data->classes, *lab.teachers.front());
        });
    });
}

void add_eval(CLI::App& app) {
    auto* sub = app.add_subcommand("eval", "test accuracy and loss of a weight file");
    auto c = std::make_shared<Command>();
    c->table = std::make_unique<OptionTable>(*sub);
    Options& o = c->options;
    c->table->add("--data", o.data, "folder of the data sets");
    c->table->add("--dataset", o.dataset, "cifar10, cifar100, or the name of an imported set");
    c->table->add("--net,--student", o.student, "the network; by default the one that the file says it is");
    c->table->add("--init,--weights", o.init, "its weights (.safetensors)");
    c->table->add("--batch", o.batch, {1}, "images a step");
    c->table->add("--normalize", o.normalize, "auto, none, or m1,m2,m3,s1,s2,s3 of 255");
    c->table->add("--device", o.device, {"auto", "cpu", "cuda"}, "where to compute");
    c->table->add("--threads", o.threads, {0}, "CPU threads (0: OMP_NUM_THREADS, or all cores)");
    const auto by_class = std::make_shared<bool>(false);
    sub->add_flag("--by-class", *by_class, "also the accuracy of each class");
    sub->callback([c, by_class] {
        Options& options = c->options;
        if (options.init.empty()) input_error("--init: the weight file to evaluate is missing");
        if (options.student.empty()) options.student = own_word(read_safetensors(options.init).metadata, "network");
        if (options.student.empty())
            input_error("--net: no network named, and ", options.init, " does not say which it is; there are: ", network_names());
        Laboratory lab = open_laboratory(options);
        Supervised subject(*lab.backend, options, lab.data->classes);
        warn_if_trained_otherwise(options.init, load_weights(subject.parameters(), options.init, subject.student()), options, *lab.data);
        warn_of_normalization(options.normalize);
        LoaderOptions batches = lab.loader_options(options);
        batches.trains = false;
        const Loader loader(*lab.backend, lab.on_device, batches);
        const Dataset& data = *lab.data;
        Answers answers(data.classes);
        size_t image = 0;
        const Evaluation e = evaluate(*lab.backend, loader, subject.student(), Mode::evaluate, [&](const Tensor& logits) {
            const std::vector<float> all = logits.to_host();
            for (size_t at = 0; at < all.size(); at += static_cast<size_t>(data.classes)) answers.add(&all[at], data.test.labels[image++]);
        });
        const std::string top5 = data.classes > 5 ? ", top-5 " + fixed(answers.top(5)) + " %" : "";
        std::printf("%s on %s: test accuracy %.2f %%%s, loss %.9g (%lld images, normalization %s)\n", options.student.c_str(),
                    options.dataset.c_str(), e.accuracy, top5.c_str(), e.loss, static_cast<long long>(loader.test_records()),
                    options.normalize.c_str());
        if (*by_class) std::fputs(aligned(rows_by_class(answers, data.classes, data.class_names), {0, 2, 3, 4}).c_str(), stdout);
    });
}

void add_info(CLI::App& app) {
    auto* sub = app.add_subcommand("info", "a network's parameters, multiply-accumulates and features");
    struct Asked {
        std::string net;
        int classes = 100, size = 32;
    };
    auto asked = std::make_shared<Asked>();
    sub->add_option("--net,--student", asked->net, "the network; without it, the names are listed");
    sub->add_option("--classes", asked->classes, "of the classifier")->capture_default_str();
    sub->add_option("--size", asked->size, "height and width of the image")->capture_default_str();
    sub->callback([asked] {
        if (asked->net.empty()) {
            std::printf("networks: %s\n", network_names().c_str());
            return;
        }
        if (asked->classes < 1 || asked->size < 8) input_error("info: --classes must be at least 1 and --size at least 8");
        const auto backend = make_backend("cpu");
        Parameters parameters(*backend, false);
        const auto net = make_network(asked->net, asked->classes, parameters);
        parameters.allocate(0);
        const int64_t before = multiply_accumulates();
        const Output out = net->forward(Var(Tensor::zeros(*backend, {1, asked->size, asked->size, 3})), Mode::evaluate, Keep::outputs);
        std::printf("%s, %d classes, images %dx%d\n", asked->net.c_str(), asked->classes, asked->size, asked->size);
        std::printf("  parameters            %lld\n", static_cast<long long>(parameters.count()));
        std::printf("  multiply-accumulates  %lld an image, forward\n", static_cast<long long>(multiply_accumulates() - before));
        if (const SlideCount slides = slide_count(asked->net); slides.operations > 0)
            std::printf("  MHGD's slides         %s million operations%s, of CIFAR-100; not what their own layout gives\n",
                        number(slides.operations).c_str(),
                        slides.parameters > 0 ? text(", ", number(slides.parameters), " million parameters").c_str() : "");
        const std::vector<Var> features = features_of(out);
        for (size_t i = 0; i < features.size(); ++i) {
            const Shape& s = features[i].shape();
            std::printf("  feature f%-12zu %lldx%lldx%lld (h x w x c)\n", i, static_cast<long long>(s.h), static_cast<long long>(s.w),
                        static_cast<long long>(s.c));
        }
    });
}

}  // namespace

void add_training_commands(CLI::App& app) {
    add_train(app);
    add_eval(app);
    add_kd(app);
    add_reviewkd(app);
    add_info(app);
}

}  // namespace distill
