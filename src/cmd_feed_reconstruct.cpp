#include "cmd_feed_reconstruct.h"

#include <algorithm>
#include <cstdio>

#include "base_command_line.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "base_weight_files.h"
#include "core_conv_plan_store.h"
#include "net_table.h"
#include "run_experiment.h"
#include "run_many.h"
#include "run_resume.h"
#include "train_interruption.h"
#include "train_schedule.h"

namespace distill {

MapDecoder::MapDecoder(Backend& backend, const Loader& loader, const Teacher& student, const Teacher& teacher, const Options& o,
                       const ReconstructOptions& own)
    : backend_(backend),
      loader_(loader),
      student_(student),
      teacher_(teacher),
      options_(o),
      lr_steps_(parse_lr_steps(o.lr_steps)),
      parameters_(backend),
      decoder_(parameters_, "decoder", student.network().map_channels(), teacher.network().map_channels(), teacher.network().map_channels(),
               own.depth, static_cast<float>(own.slope), ChainEnd::linear) {
    parameters_.allocate(o.start());
    variance_ = test_variance();
}

MapDecoder::Pair MapDecoder::look(const Batch& batch) const {
    const Beside<Output> s = student_(batch.images), t = teacher_(batch.images);
    const Var decoded = decoder_(s->map());
    return {pooled_like(decoded, t->map()), pooled_like(t->map(), decoded)};
}

double MapDecoder::test_variance() const {
    const NoGrad no_grad;
    std::vector<double> sums, squares;  // by channel
    double rows = 0;
    for (int64_t step = 0; step < loader_.test_steps(); ++step) {
        backend_.begin_step();
        const Var map = look(loader_.test_batch(step)).map;
        const std::vector<float> values = map.value().to_host();
        const auto channels = static_cast<size_t>(map.shape().c);
        sums.resize(channels), squares.resize(channels);
        for (size_t i = 0; i < values.size(); ++i) {
            const auto v = static_cast<double>(values[i]);
            sums[i % channels] += v;
            squares[i % channels] += v * v;
        }
        rows += static_cast<double>(map.shape().pixels());
    }
    double variance = 0;
    for (size_t c = 0; c < sums.size(); ++c) variance += (squares[c] - sums[c] * sums[c] / rows) / rows / static_cast<double>(sums.size());
    if (!(variance > 0)) input_error(teacher_.file(), ": its last map is the same for all test images; name a teacher that was trained");
    return variance;
}

MapDecoder::Error MapDecoder::test() const {
    const NoGrad no_grad;
    Error e;
    for (int64_t step = 0; step < loader_.test_steps(); ++step) {
        backend_.begin_step();
        const Batch batch = loader_.test_batch(step);
        const Pair pair = look(batch);
        const auto share = static_cast<double>(batch.size()) / static_cast<double>(loader_.test_records());
        e.relative_mse += share * static_cast<double>(mse(pair.decoded, pair.map).value().item()) / variance_;
        e.feed_distance += share * static_cast<double>(feature_loss(pair.decoded, pair.map, {}).value().item());
    }
    return e;
}

Phase MapDecoder::phase(const std::string& name) {
    Phase p;
    p.epochs = options_.epochs;
    p.parameters = &parameters_;
    p.loss = "relative_mse";
    p.name = name;
    p.own_draws = false;  // all decoders of a table see the same batches
    p.rate = [this](int epoch) { return learning_rate(options_.lr, lr_steps_, epoch); };
    p.step = [this](const Batch& batch) {
        const Pair pair = look(batch);
        return scale(mse(pair.decoded, pair.map), static_cast<float>(1 / variance_));
    };
    return p;
}

namespace {

constexpr const char* method_name = "feed reconstruct";
const std::vector<std::string> columns{"method", "seed",        "student",      "teacher",       "decoder_parameters",
                                       "epochs", "train_error", "relative_mse", "feed_distance", "seconds"};

/// A student's file, and what it is called.
struct Subject {
    std::string method, seed, file;
};

/// The students below a folder: its own, or those of its seeds s<seed>/, in their order.
std::vector<fs::path> students_in(const fs::path& folder) {
    constexpr const char* file = "student.safetensors";
    if (fs::exists(folder / file)) return {folder / file};
    std::vector<fs::path> found;
    for (const auto& [seed, run] : numbered_folders(folder, 's'))
        if (fs::exists(run / file)) found.push_back(run / file);
    if (found.empty())
        input_error("--students ", folder.string(), ": no ", file, " in this folder or in its s0, s1, …; name a finished run");
    return found;
}

/// --students as files with names: those given (name=…), else the method that the file says.
std::vector<Subject> named_students(const std::string& students) {
    if (students.empty())
        input_error("--students: no student; name weight files or run folders, with a name for the table where they need one: ",
                    "feed=runs/feed,runs/kd/student.safetensors");
    std::vector<Subject> all;
    for (const std::string& item : split(students, ',')) {
        const size_t sign = item.find('=');
        const fs::path path = sign == std::string::npos ? item : item.substr(sign + 1);
        if (path.empty())
            input_error("--students ", students, ": '", item, "' names no file; write name=file or file, with commas between");
        for (const fs::path& file : fs::is_directory(path) ? students_in(path) : std::vector<fs::path>{path}) {
            const WeightFile weights = read_weights(file);
            const auto said = [&](const char* key) {
                const auto found = weights.metadata.find(key);
                return found == weights.metadata.end() ? std::string() : found->second;
            };
            std::string name = sign == std::string::npos ? said("method") : item.substr(0, sign);
            if (name.empty()) name = file.stem().string();
            all.push_back({name, said("seed"), file.string()});
        }
    }
    return all;
}

/// Their networks' names: the files', or --student for those that do not say.
std::unique_ptr<Teacher> load_student(Backend& backend, const Options& o, const Subject& subject, int classes) {
    Options one = o;
    const WeightFile file = read_weights(subject.file);
    const std::string said = own_word(file.metadata, "network");
    if (said.empty() && o.student.empty())
        input_error(subject.file, ": does not say which network it is; name it with --student; there are: ", network_names());
    one.teacher = said.empty() ? o.student : said;
    one.teacher_weights = subject.file;
    constexpr int stream = 2;  // beside the teacher's
    return Teacher::load(backend, one, classes, stream);
}

Teachers load_alone(Backend& backend, const Options& o, int classes) {
    const std::vector<std::string> files = split(o.teachers, ','), nets = split(o.teacher, '+');
    Teachers teachers;
    Options one = o;
    for (size_t i = 0; i < files.size(); ++i) {
        one.teacher = nets[i];
        one.teacher_weights = files[i];
        teachers.push_back(Teacher::load(backend, one, classes));
    }
    return teachers;
}

/// One pair, to its row.
std::vector<std::string> reconstruct(Session& session, Loader& loader, const Options& o, const ReconstructOptions& own,
                                     const RunFolder& folder, const Subject& subject, const Teacher& student, const Teacher& teacher,
                                     size_t index, bool resume) {
    MapDecoder decoder(*session.backend, loader, student, teacher, o, own);
    PhaseTraining training(*session.backend, loader, decoder.phase("decoder" + std::to_string(index)), o);
    if (resume) training.take_from(read_checkpoint(folder.checkpoint()), folder.checkpoint());
    training.run(folder, [&] {
        save_conv_plans(*session.backend, folder.file("conv_plans.csv"));
        keep_machine_conv_plans(*session.backend);
        Checkpoint c;
        training.keep_in(c);
        c.counters["pair"] = static_cast<int64_t>(index);
        write_checkpoint(folder.checkpoint(), c);
    });
    const MapDecoder::Error e = decoder.test();
    return {subject.method,
            subject.seed,
            subject.file,
            teacher.file(),
            std::to_string(decoder.count()),
            std::to_string(o.epochs),
            number(training.last_loss()),
            number(e.relative_mse),
            number(e.feed_distance),
            number(training.seconds())};
}

void print_rows(const CsvTable& table) {
    std::printf("\n%-16s %4s  %-40s %10s %10s %14s\n", "method", "seed", "teacher", "train MSE", "test MSE", "FEED distance");
    for (size_t r = 0; r < table.rows.size(); ++r)
        std::printf("%-16s %4s  %-40s %10.4f %10.4f %14.3e\n", table.cell(r, "method").c_str(), table.cell(r, "seed").c_str(),
                    table.cell(r, "teacher").c_str(), table.cell_number(r, "train_error"), table.cell_number(r, "relative_mse"),
                    table.cell_number(r, "feed_distance"));
}

void run_reconstruction(OptionTable& table, Options& o, const ReconstructOptions& own) {
    const fs::path base = o.run.empty() ? "runs/reconstruct-" + o.dataset : o.run;
    settle_resume(o, base);
    const bool known = o.resume;
    if (o.resume) take_options_of(RunFolder::reopen(base), method_name, table), o.given_anew = table.given_anew();
    const std::string scaled = scale_with_epochs(table, o);
    settle_teachers(o);
    const std::vector<Subject> subjects = named_students(own.students);
    parse_lr_steps(o.lr_steps);

    Session session = open_session(o);
    // All that can be wrong with the input is found here, before a folder is made.
    const Teachers teachers = load_alone(*session.backend, o, session.data->classes);
    Teachers students;
    for (const Subject& s : subjects) students.push_back(load_student(*session.backend, o, s, session.data->classes));
    for (const Teachers* networks : std::initializer_list<const Teachers*>{&teachers, &students})
        for (const auto& network : *networks) {
            network->network().require_images(session.data->height, session.data->width);
            o.generation = std::max(o.generation, generation_after(network->metadata()));
        }
    o.role = "decoder";
    Loader loader(*session.backend, session.on_device, session.loader_options(o));
    print_configuration(method_name, kept_options(table));
    std::printf("%s", scaled.c_str());
    note_late_milestones(o);
    Config config = run_config(method_name, table, run_facts(session, o));
    const auto add_checksums = [&](const char* what, const Teachers& networks) {
        for (size_t i = 0; i < networks.size(); ++i) {
            warn_if_trained_otherwise(networks[i]->file(), networks[i]->metadata(), o, *session.data);
            config.emplace_back(text("info.", what, i, "_sha256"), sha256_of_file(networks[i]->file()));
        }
    };
    add_checksums("student", students);
    add_checksums("teacher", teachers);

    RunFolder folder = known ? RunFolder::reopen(base) : RunFolder::create(base, config);
    folder.lock();
    if (known) require_same_input(folder, config);
    catch_interruption(o.time_limit);
    load_conv_plans(*session.backend, folder.file("conv_plans.csv"));
    const fs::path file = folder.file("reconstruct.csv");
    const bool headed = fs::exists(file) && read_file(file).find('\n') != std::string::npos;  // a full disk may have cut the first line
    const size_t done = headed ? read_csv(file, ReadCsv::whole_lines).rows.size() : 0;
    CsvWriter rows = folder.table("reconstruct.csv", columns, done > 0, done);
    const bool begun =
        fs::exists(folder.checkpoint()) && read_checkpoint(folder.checkpoint()).counters.at("pair") == static_cast<int64_t>(done);
    for (size_t pair = done; pair < students.size() * teachers.size(); ++pair) {
        const size_t s = pair / teachers.size(), t = pair % teachers.size();
        if (!o.quiet)
            std::printf("%s (%s) -> %s, pair %zu of %zu\n", subjects[s].method.c_str(), subjects[s].file.c_str(),
                        teachers[t]->file().c_str(), pair + 1, students.size() * teachers.size());
        rows.row(reconstruct(session, loader, o, own, folder, subjects[s], *students[s], *teachers[t], pair, begun && pair == done));
        rows.sync();
    }
    print_rows(read_csv(file));
}

}  // namespace

void add_reconstruct_command(Subcommand feed) {
    struct Command {
        Options options;
        ReconstructOptions own;
        OptionTable table;
    };
    const Subcommand sub = feed.add_subcommand("reconstruct", "how well a decoder tells each teacher's last map from each student's");
    auto c = std::make_shared<Command>();
    Options& o = c->options;
    o.epochs = 20;
    o.lr_steps = "10,15";
    o.nesterov = false;
    OptionTable& t = c->table;
    t.add("--students", c->own.students, "files or run folders (of one run, or of s0, s1, ...) as [name=]path, separated by commas")
        .subject()
        .place(Places::labelled);
    t.add_network("--student", o.student, "the students' network, where a file does not say").subject();
    t.add("--teachers", o.teachers, "the teachers' files, separated by commas (.safetensors, or PyTorch's .pth)")
        .subject()
        .place(Places::listed);
    t.add_network("--teacher-nets", o.teacher_nets, "their networks, where the files do not say; one name may serve for all")
        .circumstance();
    t.add("--decoder-depth", c->own.depth, {1}, "3x3 convolutions of a decoder");
    t.add("--decoder-slope", c->own.slope, {0}, "of the leaky ReLU between them, below 0");
    add_data_options(t, o);
    add_schedule_options(t, o);
    add_device_option(t, o).circumstance().open("auto");
    t.add("--run", o.run, "the folder of its tables; by default under runs/").driver();
    t.add_switch("--resume", o.resume, "go on where it stopped, with its options").driver();
    add_auto_resume_option(t, o);
    t.add_switch("--quiet", o.quiet, "no progress").driver();
    t.attach(sub);
    sub.callback([c] { run_reconstruction(c->table, c->options, c->own); });
}

}  // namespace distill
