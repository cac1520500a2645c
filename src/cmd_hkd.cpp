#include "cmd_hkd.h"

#include <cstdio>
#include <memory>

#include "base_command_line.h"
#include "base_error.h"
#include "base_files.h"
#include "base_notes.h"
#include "base_output_file.h"
#include "base_svg.h"
#include "cmd_method.h"
#include "data_png.h"
#include "graph_batch_svg.h"
#include "method_hkd.h"
#include "run_many.h"
#include "run_resume.h"
#include "run_session.h"
#include "train_recipes.h"

namespace distill {
namespace {

struct Asked {
    std::string run, svg, data, teacher_weights, device = "auto";
    int images = 32;
};

/// A finished run's options, and what it saw.
struct ShownRun {
    Config config;
    Options options = options_of(find_recipe(hkd_row.recipe));
    HkdOptions own;
    fs::path student;

    explicit ShownRun(const Asked& asked) {
        if (!fs::exists(fs::path(asked.run) / "config.csv")) input_error(asked.run, ": is no run's folder; name one of distill hkd");
        const RunFolder folder = RunFolder::reopen(asked.run);
        config = folder.config();
        OptionTable table;
        add_networks(table, options, hkd_row.teachers);
        own.add_to(table);
        const HeldNotes silent;  // of where a copy would go
        take_options_of(folder, hkd_row.name, table);
        if (!asked.data.empty()) options.data = asked.data;
        if (!asked.teacher_weights.empty()) options.teacher_weights = asked.teacher_weights;
        if (!fs::exists(options.teacher_weights))
            input_error(options.teacher_weights, ": the run's teacher is not there; say where it is with --teacher-weights");
        options.device = asked.device;
        options.precision = "fp32";
        options.role = value_of(config, "info.role");
        options.generation = static_cast<int>(whole_of(config, "info.generation"));
        student = folder.file("student.safetensors");
        if (!fs::exists(student)) input_error(asked.run, ": has no student.safetensors yet; show it when the run is finished");
    }
};

BatchGraph graph_of(const std::string& whose, const Teacher& network, const Batch& batch, const HkdOptions& own) {
    const Beside<Output> output = network(batch.images);
    const std::vector<float> matrix = prediction_graph(*output, own.graph_from, own.neighbours).to_host();
    const auto n = static_cast<size_t>(batch.size());
    BatchGraph graph{whose + ", " + network.network().name(), std::vector<std::vector<bool>>(n, std::vector<bool>(n))};
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) graph.takes_from[i][j] = matrix[i * n + j] > 0;
    return graph;
}

/// `pixels`: of all training images, as DeviceData::image_bytes gives them.
BatchImage image_of(const Dataset& data, const std::vector<uint8_t>& pixels, int32_t record) {
    const auto place = static_cast<size_t>(record);
    const int label = data.train.labels[place];
    const size_t bytes = 3 * static_cast<size_t>(data.height) * static_cast<size_t>(data.width);
    const std::string name = data.class_names.empty() ? text("class ", label) : data.class_names[static_cast<size_t>(label)];
    return {record, label, name, encode_png(&pixels[place * bytes], data.height, data.width)};
}

/// The run's networks as they answer in evaluation, over the first images of its first epoch, as they are on file.
void show(const Asked& asked) {
    require_output("--svg", asked.svg, picture_begins, "picture");
    ShownRun run(asked);
    Options& o = run.options;
    Session session = open_session(o);
    require_same_input(RunFolder::reopen(asked.run),
                       {{"info.data_sha256", session.data_sha256()}, {"info.teacher_sha256", sha256_of_file(o.teacher_weights)}});
    const Dataset& data = *session.data;
    if (asked.images < run.own.neighbours || asked.images > data.train.records)
        input_error("--images ", asked.images, ": expected at least the run's --neighbours ", run.own.neighbours, ", and at most the ",
                    data.train.records, " training images of ", o.dataset);
    session.teachers = load_teachers(*session.backend, o, data.classes);
    Options of_student = o;
    of_student.teacher = o.student;
    of_student.teacher_weights = run.student.string();
    const auto student = Teacher::load(*session.backend, of_student, data.classes, 2);
    LoaderOptions batches = session.loader_options(o);
    batches.batch = asked.images;
    batches.batch_option = "--images";
    batches.augmentation.crop_flip = false;
    Loader loader(*session.backend, session.on_device, batches);
    loader.begin_epoch(0);
    const Batch batch = loader.train_batch(asked.images);

    BatchGraphs graphs{{}, graph_of("student", *student, batch, run.own), graph_of("teacher", *session.teachers.front(), batch, run.own)};
    const std::vector<uint8_t> pixels = session.on_device->image_bytes(session.on_device->train);
    for (const int32_t record : batch.records.ints_to_host()) graphs.images.push_back(image_of(data, pixels, record));
    const fs::path svg = asked.svg.empty() ? fs::path(asked.run) / "graphs.svg" : fs::path(asked.svg);
    write_file_atomically(svg, batch_graphs_svg(graphs));
    const GraphShares shares = graph_shares(graphs);
    std::printf("graphs of %d training images of %s, each takes from the %d most alike by %s, itself counted\n", asked.images,
                o.dataset.c_str(), run.own.neighbours, run.own.graph_from == "feature" ? "features" : "predictions");
    std::printf("  neighbours of the image's class  student %.1f %%, teacher %.1f %%\n", shares.right_left, shares.right_right);
    std::printf("  edges that both graphs have      %.1f %%\n", shares.overlap);
    std::printf("  picture                          %s\n", svg.c_str());
}

}  // namespace

void add_hkd_command(Subcommand app) {
    add_method_command(app, hkd_row);
    const Subcommand sub = app.find(hkd_row.name).value().add_subcommand("show", "both graphs of one batch, as a picture of its images");
    const auto asked = std::make_shared<Asked>();
    constexpr int most = 256;
    sub.add_option("RUN", asked->run, "the folder of a finished run").required();
    sub.add_option("--svg", asked->svg, "write the picture here; by default graphs.svg in the run's folder");
    sub.add_option("--images", asked->images, "images of the batch").shows_default().within(1, most);
    sub.add_option("--data", asked->data, "folder of the data sets; by default the run's");
    sub.add_option("--teacher-weights", asked->teacher_weights, "where the run's teacher lies now; by default as the run says");
    sub.add_option("--device", asked->device, "where to compute").shows_default().one_of({"auto", "cpu", "cuda"});
    sub.callback([asked] { show(*asked); });
}

}  // namespace distill
