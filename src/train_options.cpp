#include "train_options.h"

#include <algorithm>

#include "base_error.h"
#include "base_numbers.h"
#include "base_texts.h"

namespace distill {
void add_data_options(OptionTable& t, Options& o) {
    t.add("--data", o.data, "folder of the data sets").circumstance().opens_session().place();
    t.add("--dataset", o.dataset, "cifar10, cifar100, or the name of an imported set").subject().opens_session();
    t.add("--per-class", o.per_class, {0}, "train on the first so many images of each class (0: on all)").circumstance().opens_session();
}

void add_training_options(OptionTable& t, Options& o, bool distills) {
    add_data_options(t, o);
    if (distills) {
        t.add_network("--teacher", o.teacher, "teacher network").subject();
        t.add("--teacher-weights", o.teacher_weights, "the trained teacher (.safetensors, or PyTorch's .pth)").subject().place();
        t.add("--teacher-min", o.teacher_min, {0, 100}, "stop if the teacher's test accuracy is below this, in %").circumstance();
        add_classes_option(t, o);
    }
    t.add_network(distills ? "--student" : "--net,--student", o.student, "network to train").subject().own();
    t.add("--init", o.init, "start from these weights (.safetensors, or PyTorch's .pth)").own().place();
    t.add("--recipe", o.recipe, recipe_names(), "whose schedule, normalisation and weights, where they are not given by hand")
        .circumstance();
    add_schedule_options(t, o);
    add_run_options(t, o);
}

void add_teachers_options(OptionTable& t, Options& o) {
    t.add("--teachers", o.teachers, "the trained teachers, separated by commas (.safetensors, or PyTorch's .pth)")
        .subject()
        .place(Places::listed);
    t.add_network("--teacher-nets", o.teacher_nets, "their networks, where the files do not say; one name may serve for all")
        .circumstance();
    t.add("--train-teachers", o.train_teachers, {0}, "instead: train so many of one network first, alone, from seeds 0, 1, 2, …")
        .circumstance();
    t.add("--teachers-run", o.teachers_run, "their folder, used again where it is there; by default runs/teachers-<dataset>-<network>")
        .circumstance();
}

void add_classes_option(OptionTable& t, Options& o) {
    t.add_switch("--other-classes", o.other_classes,
                 "take trained networks even if their classes are others than the data set's, or in another order")
        .circumstance();
}

void add_schedule_options(OptionTable& t, Options& o) {
    t.add("--epochs", o.epochs, {1}, "passes over the training data").changing();
    t.add("--batch", o.batch, {1}, "images a step");
    t.add("--lr", o.lr, {0}, "learning rate at the start");
    t.add("--lr-steps", o.lr_steps, "epochs, counted from 0, from whose start on the rate is a tenth, e.g. 150,180,210").in_epochs();
    t.add("--momentum", o.momentum, {0, 1}, "of SGD");
    t.add("--weight-decay", o.weight_decay, {0}, "added to every gradient, times the weight");
    t.add_on_off("--nesterov", o.nesterov, "Nesterov's momentum");
    t.add("--seed", o.seed, "of initial weights, batches and augmentation").circumstance();
    t.add("--normalize", o.normalize, "auto (the recipe's on CIFAR, else the set's own), none, or m1,m2,m3,s1,s2,s3 of 255")
        .open("auto")
        .opens_session();
    t.add("--augment", o.augment, {"crop-flip", "none"}, "random crop of the padded image and horizontal flip, or nothing");
    t.add("--crop-pad", o.crop_pad, {"zero", "reflect"}, "what the crop's border of 4 pixels is filled with");
    t.add_on_off("--shuffle", o.shuffle, "a new order each epoch; off: consecutive records");
    t.add_on_off("--drop-last", o.drop_last, "leave out an epoch's last, smaller batch");
    t.add("--precision", o.precision, {"fp32", "tf32", "bf16"}, "of convolutions and products; sums, weights and losses stay fp32")
        .opens_session();
    t.add_on_off("--deterministic", o.deterministic, "the same bits each time on one machine; off may be faster on a GPU")
        .subject()
        .opens_session();
    t.add_on_off("--winograd", o.winograd, "CPU: 3x3 convolutions with fewer products; off: every product as it is written")
        .circumstance()
        .opens_session();
    add_threads_option(t, o).circumstance().opens_session().open("0");
}

void add_run_options(OptionTable& t, Options& o) {
    t.add("--max-steps", o.max_steps, {0}, "end after this many steps (0: no limit)").subject();
    t.add("--runs", o.runs, {1}, "trainings with seeds seed, seed+1, …").driver().own();
    t.add("--side-by-side", o.side_by_side, {0}, "of these at a time (0: on a GPU up to 8, on the CPU 1); the results are the same")
        .driver();
    t.add("--val", o.validation, {0}, "hold out this many training records and test on them (0: test on the test set)")
        .subject()
        .opens_session();
    add_device_option(t, o).circumstance().opens_session().open("auto");
    t.add("--run", o.run, "the run's folder; by default under runs/, named after what is trained").driver().own();
    t.add_switch("--resume", o.resume, "go on from the run's checkpoint, with the run's options").driver().own();
    add_auto_resume_option(t, o);
    t.add_switch("--log-steps", o.log_steps, "also write steps.csv, one row a step").circumstance().own();
    t.add("--save", o.save, "also save the trained network here (.safetensors)").circumstance().own().said_anew().changing();
    t.add("--id", o.id, "the experiment's id in the report").subject().own();
    t.add("--preset", o.preset, "take everything from this row of data/paper").circumstance().own();
    t.add("--paper", o.paper, "where --preset finds its row, instead of data/paper").driver().own();
    t.add_switch("--quiet", o.quiet, "no progress").driver();
}

void add_auto_resume_option(OptionTable& t, Options& o) {
    t.add_switch("--auto-resume", o.auto_resume,
                 "start, or go on where it was, or leave it where it is finished: the same line again and again")
        .driver()
        .own();
    t.add("--time-limit", o.time_limit,
          "write the checkpoints and end with 3 before the program has run so long (2h45m), as batch queues ask for")
        .driver();
}

TableOption& add_device_option(OptionTable& t, Options& o) {
    return t.add("--device", o.device, {"auto", "cpu", "cuda"}, "where to compute").changing();
}

TableOption& add_threads_option(OptionTable& t, Options& o) {
    return t.add("--threads", o.threads, {0}, "CPU threads (0: OMP_NUM_THREADS, or all cores)").changing();
}

void add_machine_options(OptionTable& t, Options& o) {
    add_device_option(t, o);
    add_threads_option(t, o);
}

Options options_of(const Recipe& r) {
    Options o;
    o.recipe = r.name;
    o.epochs = r.epochs;
    o.lr_steps = r.lr_steps;
    o.lr = r.lr;
    o.batch = r.batch;
    o.weight_decay = r.weight_decay;
    o.nesterov = r.nesterov;
    o.drop_last = r.drop_last;
    o.crop_pad = r.crop_pad;
    o.normalize_auto = r.normalize;
    return o;
}

void set_recipe(OptionTable& t, Options& o, const Recipe& r, const std::string& method, const std::string& origin) {
    const auto on = [](bool value) { return value ? "on" : "off"; };
    const Options all;  // momentum is everybody's
    if (t.has("recipe")) t.set("recipe", r.name, origin);
    t.set("epochs", std::to_string(r.epochs), origin);
    t.set("batch", std::to_string(r.batch), origin);
    set_rate(t, o, r, origin);
    t.set("lr-steps", r.lr_steps, origin);
    t.set("momentum", number(all.momentum), origin);
    t.set("weight-decay", number(r.weight_decay), origin);
    t.set("nesterov", on(r.nesterov), origin);
    t.set("drop-last", on(r.drop_last), origin);
    t.set("crop-pad", r.crop_pad, origin);
    o.normalize_auto = r.normalize;
    for (const Recipe::Weight& w : r.weights)
        if (w.method == method && t.has(w.option)) t.set(w.option, w.value, origin);
}

void set_rate(OptionTable& t, const Options& o, const Recipe& r, const std::string& origin) {
    t.set("lr", number(rate_of(r, o.student)), origin);
}

DeviceOptions device_options(const Options& o) {
    const Precision precision = o.precision == "bf16" ? Precision::bf16 : o.precision == "tf32" ? Precision::tf32 : Precision::fp32;
    return {o.threads, precision, o.deterministic, o.winograd, o.gpu};
}

std::vector<int> parse_lr_steps(const std::string& s) {
    std::vector<int> epochs;
    for (const std::string& part : split(s, ',')) {
        int epoch = 0;
        if (!parse_all(part, epoch) || epoch < 0 || (!epochs.empty() && epoch <= epochs.back()))
            input_error("--lr-steps: found '", s, "', expected rising epochs like 150,180,210");
        epochs.push_back(epoch);
    }
    return epochs;
}

std::optional<Normalization> parse_normalization(const std::string& s) {
    Normalization n;
    if (s == "none") {
        std::fill(n.std, n.std + 3, 255.0f);
        return n;
    }
    const auto parts = split(s, ',');
    bool good = parts.size() == 6;
    for (size_t i = 0; good && i < 6; ++i) {
        float& place = i < 3 ? n.mean[i] : n.std[i - 3];
        good = parse_all(parts[i], place) && std::isfinite(place) && (i < 3 || place > 0);
    }
    return good ? std::optional(n) : std::nullopt;
}

Normalization resolve_normalization(const std::string& s, const Dataset& data, const std::string& official) {
    if (s == "auto") return data.imported ? data.stats : resolve_normalization(official, data, "none");
    const std::optional<Normalization> n = parse_normalization(s);
    if (!n) input_error("--normalize: found '", s, "', expected auto, none, or six numbers m1,m2,m3,s1,s2,s3 of 255 with s > 0");
    return *n;
}

std::string to_string(const Normalization& n) {
    std::string s;
    for (float v : n.mean) s += number(static_cast<double>(v)) + ",";
    for (int c = 0; c < 3; ++c) s += number(static_cast<double>(n.std[c])) + (c < 2 ? "," : "");
    return s;
}

}  // namespace distill
