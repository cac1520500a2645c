#include "cmd_training.h"

#include <cstdio>
#include <map>
#include <memory>
#include <optional>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_output_file.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "base_weight_files.h"
#include "cmd_feed.h"
#include "cmd_hkd.h"
#include "cmd_kd.h"
#include "cmd_ktg.h"
#include "cmd_method.h"
#include "cmd_mhgd.h"
#include "core_backend.h"
#include "core_conv_plan_store.h"
#include "core_work_count.h"
#include "device.h"
#include "method_supervised.h"
#include "net_foreign_weights.h"
#include "net_mhgd.h"
#include "net_name.h"
#include "net_table.h"
#include "run_answers.h"
#include "run_session.h"
#include "trainer.h"

namespace distill {
namespace {

/// Lives as long as the program.
struct EvalCommand {
    Options options;
    OptionTable table;
};

bool holds_logits(const fs::path& path) {
    if (!is_weight_file(path)) return false;
    const WeightFile file = read_safetensors(path);
    return file.tensors.size() == 1 && file.tensors.count("logits") > 0;
}

/// For a file that named the network: is it one, of the data's classes, as far as can be told before one is allocated?
void require_named_network(const WeightFile& file, const Options& o, const Session& session) {
    require_network(o.init, file.metadata, o.student, session.data->classes);
    Parameters parameters(*session.backend, false);
    require_enough(file, o.init, *make_network(o.student, session.data->classes, parameters), parameters);
}

void add_eval(Subcommand app) {
    const Subcommand sub = app.add_subcommand("eval", "test accuracy and loss of a weight file");
    const auto c = std::make_shared<EvalCommand>();
    Options& o = c->options;
    c->table.add("--data", o.data, "folder of the data sets").place();
    c->table.add("--dataset", o.dataset, "cifar10, cifar100, or the name of an imported set");
    c->table.add_network("--net,--student", o.student, "the network; by default the one that the file says it is");
    c->table.add("--init,--weights", o.init, "its weights (.safetensors, or PyTorch's .pth)").place();
    c->table.add("--batch", o.batch, {1}, "images a step");
    c->table.add("--normalize", o.normalize, "auto, none, or m1,m2,m3,s1,s2,s3 of 255");
    add_machine_options(c->table, o);
    c->table.attach(sub);
    const auto by_class = std::make_shared<bool>(false);
    const auto kept = std::make_shared<fs::path>();
    sub.add_flag("--by-class", *by_class, "also the accuracy of each class");
    sub.add_option("--logits", *kept, "also write all logits here (.safetensors: logits (images, classes))");
    sub.callback([c, by_class, kept] {
        Options& options = c->options;
        if (options.init.empty()) input_error("--weights: the weight file to evaluate is missing");
        std::optional<WeightFile> named_by;
        if (options.student.empty()) options.student = own_word(named_by.emplace(read_weights(options.init)).metadata, "network");
        if (options.student.empty())
            input_error("--net: no network named, and ", options.init, " does not say which it is; there are: ", network_names());
        require_output(
            "--logits", *kept, [&] { return holds_logits(*kept); }, "file of logits");
        Session session = open_session(options);
        if (named_by) require_named_network(*named_by, options, session);
        named_by.reset();
        Supervised subject(session.setting(), options);
        subject.student().require_images(session.data->height, session.data->width);
        warn_if_trained_otherwise(options.init, load_weights(subject.parameters(), options.init, subject.student()), options,
                                  *session.data);
        warn_of_normalization(options.normalize);
        LoaderOptions batches = session.loader_options(options);
        batches.trains = false;
        const Loader loader(*session.backend, session.on_device, batches);
        const Dataset& data = *session.data;
        Answers answers(data.classes);
        std::vector<float> logits_of_all;
        size_t image = 0;
        const Evaluation e = evaluate(*session.backend, loader, subject.student(), Mode::evaluate, [&](const Tensor& logits) {
            const std::vector<float> all = logits.to_host();
            for (size_t at = 0; at < all.size(); at += static_cast<size_t>(data.classes)) answers.add(&all[at], data.test.labels[image++]);
            if (!kept->empty()) logits_of_all.insert(logits_of_all.end(), all.begin(), all.end());
        });
        keep_machine_conv_plans(*session.backend);  // so that the same file has the same loss the next time
        const std::string top5 = data.classes > 5 ? ", top-5 " + fixed(answers.top(5)) + " %" : "";
        std::printf("%s on %s: test accuracy %.2f %%%s, loss %.9g (%lld images, normalization %s)\n", options.student.c_str(),
                    options.dataset.c_str(), e.accuracy, top5.c_str(), e.loss, static_cast<long long>(loader.test_records()),
                    options.normalize.c_str());
        require_finite(options.init, subject.student(), e);
        if (!kept->empty()) write_safetensors(*kept, {{{"logits", {{loader.test_records(), data.classes}, std::move(logits_of_all)}}}, {}});
        if (*by_class) std::fputs(aligned(rows_by_class(answers, data.classes, data.class_names), {0, 2, 3, 4}).c_str(), stdout);
    });
}

void add_info(Subcommand app) {
    const Subcommand sub = app.add_subcommand("info", "a network's parameters, multiply-accumulates and features");
    struct Asked {
        std::string net;
        int classes = 100, size = 32;
    };
    auto asked = std::make_shared<Asked>();
    sub.add_option("--net,--student", asked->net, "the network; without it, the names are listed");
    sub.add_option("--classes", asked->classes, "of the classifier").within(1, 100000).shows_default();
    sub.add_option("--size", asked->size, "height and width of the image").within(8, 4096).shows_default();
    sub.callback([asked] {
        asked->net = without_aliases(asked->net);
        if (asked->net.empty()) {
            std::printf("networks: %s\n", network_names().c_str());
            return;
        }
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

void add_training_commands(Subcommand app) {
    const std::map<std::string, void (*)(Subcommand)> of_their_own = {{"kd", add_kd_command},
                                                                      {"hkd", add_hkd_command},
                                                                      {"feed", add_feed_commands},
                                                                      {"mhgd", add_mhgd_command},
                                                                      {"ktg", add_ktg_commands}};
    for (const MethodRow* row : methods()) {
        const auto own = of_their_own.find(row->name);
        own == of_their_own.end() ? add_method_command(app, *row) : own->second(app);
    }
    add_eval(app);
    add_info(app);
}

}  // namespace distill
