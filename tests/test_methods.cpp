// What every method of the table must do, found by its row alone: learn with finite losses, go on to the bit wherever it was stopped, run
// in any order that streams leave open, recorded or not, in bfloat16, without asking for memory, and side by side with others.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <set>

#include "base_files.h"
#include "base_safetensors.h"
#include "cmd_method.h"
#include "command.h"
#include "complaints.h"
#include "feed_workplace.h"
#include "forwarding_method.h"
#include "gradcheck.h"
#include "ktg_graph_run.h"
#include "method_ktg.h"
#include "method_table.h"
#include "queued_backend.h"
#include "run_many.h"
#include "short_training.h"
#include "train_recipes.h"

using namespace distill;
using namespace distill::testing;

namespace {

/// Another method, that a signal meets at a step, counted from 0 over the preparation and the student's training.
class Stopped final : public Forwarding {
  public:
    Stopped(std::unique_ptr<Method> inner, int at) : Forwarding(std::move(inner)), at_(at) {}
    std::vector<Phase> phases() override {
        std::vector<Phase> all = Forwarding::phases();
        for (Phase& p : all) p.step = [this, step = p.step](const Batch& batch) { return count(), step(batch); };
        return all;
    }
    StepResult step(const Batch& batch) override { return count(), Forwarding::step(batch); }

  private:
    void count() {
        if (at_-- == 0) std::raise(SIGTERM);
    }
    int at_;
};

}  // namespace

TEST_CASE("methods: each row says all that there is to say, under a name of its own, and has its subcommand" *
          doctest::test_suite("no kernels")) {
    std::set<std::string> names;
    const TempFolder folder;
    for (const MethodRow* row : methods()) {
        const std::string name = row->name;
        CAPTURE(name);
        CHECK(names.insert(name).second);
        CHECK(find_method(name) == row);
        CHECK(!std::string(row->title).empty());
        CHECK((name == "train" || !std::string(row->source).empty()));
        CHECK(find_recipe(row->recipe).name == std::string(row->recipe));
        const std::string help = run(folder, name + " --help").out;
        CHECK(says(help, {row->title}));
        for (const char* weight : {"--gamma", "--alpha", "--beta"})  // for command lines that are the same for all
            if (row->teachers != Teaching::none && name != "feed") CHECK_MESSAGE(help.find(weight) != std::string::npos, weight);
    }
    CHECK(says(run(folder, "feed parallel --help").out, {"--gamma", "--alpha", "--beta"}));
    check_rejected(folder, "reviewkd --alpha 0.5", {"--alpha: found '0.5', expected 0: there is no KL beside it"});
    check_rejected(folder, "mhgd --gamma 0.5", {"--gamma: found '0.5', expected 1: "});
    CHECK(find_method("none") == nullptr);
}

TEST_CASE("methods: --help of a subcommand shows what it trains with, as it would without a word more" *
          doctest::test_suite("no kernels")) {
    const TempFolder folder;
    const std::string ft = run(folder, "ft --help").out, fsp = run(folder, "fsp --help").out, kd = run(folder, "kd --help").out;
    CHECK(says(ft, {"--epochs INT=200", "--batch INT=128", "--lr-steps TEXT=100,150", "--beta NUMBER=500", "--recipe", "=feed"}));
    CHECK(says(fsp, {"--epochs INT=100", "--crop-pad zero|reflect=reflect", "--init-epochs INT=40", "=mhgd"}));
    CHECK(ft.find("--heads") == std::string::npos);
    CHECK(says(kd, {"--epochs INT=240", "--batch INT=64", "--alpha NUMBER=0.9"}));
    CHECK(says(run(folder, "ban --help").out, {"--temperature NUMBER=1", "--alpha NUMBER=1", "--gamma NUMBER=1"}));
    CHECK(says(run(folder, "soft-logits --help").out, {"--temperature NUMBER=4", "--alpha NUMBER=0.3", "--gamma NUMBER=0.7"}));
    CHECK(says(run(folder, "feed parallel --help").out, {"--beta NUMBER=500", "=l1", "=mean"}));
}

TEST_CASE("methods: each option says of what kind it is, and readers of config.csv ask the table" * doctest::test_suite("no kernels")) {
    for (const char* name :
         {"seed", "data", "per-class", "device", "threads", "winograd", "save", "log-steps", "preset", "recipe", "teacher-min",
          "other-classes", "teacher-nets", "train-teachers", "teachers-run", "numbers", "stages", "by", "info.commit"})
        CHECK_MESSAGE(is_circumstance(name), name);
    for (const char* name :
         {"epochs", "lr", "batch", "student", "teacher", "alpha", "beta", "heads", "graph", "normalize", "precision", "none"})
        CHECK_MESSAGE(role_of(name) == Role::substance, name);
    for (const char* name : {"resume", "quiet", "runs", "side-by-side", "run"}) CHECK_MESSAGE(role_of(name) == Role::driver, name);
    for (const char* name :
         {"epochs", "threads", "device", "save", "data", "init", "teachers", "mha", "weights", "info.by_hand", "info.folder"})
        CHECK_MESSAGE(may_change(name), name);
    for (const char* name : {"lr", "seed", "dataset", "teacher", "models", "info.data_sha256", "none"})
        CHECK_FALSE_MESSAGE(may_change(name), name);
    for (const MethodRow* row : methods()) {  // one that is a path elsewhere would free this from what a run that goes on must find
        OptionTable of_row;
        row->options()->add_to(of_row);
        for (const TableOption& option : of_row.options())
            CHECK_MESSAGE(may_change(option.name) == option.may_change, text(row->name, " --", option.name));
    }
    Options o;
    const std::string key = SharedSessions::key(o);
    for (const char* name :
         {"data=", "dataset=", "per-class=", "val=", "normalize=", "device=", "threads=", "precision=", "deterministic=", "winograd="})
        CHECK(key.find(name) != std::string::npos);
    o.lr = 0.5;
    CHECK(SharedSessions::key(o) == key);
    OptionTable table;
    double real = 0;
    int whole = 0;
    table.add("--x", real, {0}, "");
    CHECK_THROWS_AS(table.add("--x", whole, {0}, ""), std::runtime_error);  // two fields of one option must take the same words
}

TEST_CASE("options: a value's paths, and nothing else in it, are its places; those of a table are what a run reads" *
          doctest::test_suite("no kernels")) {
    const auto moved = [](Places places, const std::string& value) {
        TableOption option;
        option.place(places);
        return option.with_places(value, [](const std::string& path) { return "x/" + path; });
    };
    CHECK(moved(Places::none, "a,b") == "a,b");
    CHECK(moved(Places::whole, "a,b=c") == "x/a,b=c");
    CHECK(moved(Places::listed, "a,b") == "x/a,x/b");
    CHECK(moved(Places::labelled, "a,kd=b") == "x/a,kd=x/b");
    CHECK(moved(Places::assigned, "1=a,2=b") == "1=x/a,2=x/b");
    CHECK(moved(Places::or_shipped, "kd") == "kd");
    CHECK(moved(Places::or_shipped, "kd.csv") == "x/kd.csv");
    CHECK(moved(Places::or_shipped, "mine/kd") == "x/mine/kd");

    Options o;
    KtgOptions own;
    OptionTable table;
    add_graph_options(table, o, own);
    o.data = "my sets";
    own.file = "kd";
    own.weights = "1=a,2=b";
    using Inputs = std::vector<std::pair<std::string, std::string>>;
    CHECK(table.inputs() == Inputs{{"data", "my sets"}, {"weights", "a"}, {"weights", "b"}});

    CommandLine line;
    OptionTable read;
    Options given;
    add_training_options(read, given, true);
    read.attach(line);
    line.run({"--data", "my sets", "--threads", "2", "--init", "i", "--lr", "1", "--quiet"});
    read.set("data", "sets", "config.csv");  // what a run that goes on has
    read.set("init", "i", "config.csv");
    read.set("threads", "1", "config.csv");
    CHECK(read.given_anew() == " --data 'my sets' --threads 2");
}

TEST_CASE("options: of every subcommand that keeps runs, what names a file to read is declared a place" *
          doctest::test_suite("no kernels")) {
    const std::set<std::string> written = {"save", "run", "teachers-run", "log-steps", "heads"};  // heads: and their table, heads.csv
    const auto names_input = [&](const std::string& option, const std::string& help) {
        const std::vector<std::string> words = {".safetensors", ".csv", "path", "folder of the data"};
        return written.count(option) == 0 &&
               std::any_of(words.begin(), words.end(), [&](const std::string& word) { return help.find(word) != std::string::npos; });
    };
    for (const MethodRow* row : methods()) {
        const std::unique_ptr<MethodOptions> own = row->options();
        Options o;
        OptionTable table;
        add_networks(table, o, row->teachers);
        own->add_to(table);
        for (const TableOption& option : table.options())
            CHECK_MESSAGE((option.places != Places::none) == names_input(option.name, option.help), text(row->name, " --", option.name));
    }
    const TempFolder folder;
    for (const char* subcommand : {"ktg search", "feed reconstruct", "feed sweep", "feed sequential", "mhgd"}) {
        const std::string help = run(folder, std::string(subcommand) + " --help").out;
        size_t places = 0;
        for (size_t at = help.find("\n  --"); at != std::string::npos;) {
            const size_t next = help.find("\n  --", at + 1);
            const std::string block = help.substr(at, next - at), about = block.substr(0, block.find("\n\n"));  // a footer may follow
            const std::string option = about.substr(5, about.find_first_of(" ,=\n", 5) - 5);
            const bool place = about.find(" PATH") != std::string::npos || about.find("NAME|PATH") != std::string::npos;
            CHECK_MESSAGE(place == names_input(option, about), text(subcommand, about));
            places += place;
            at = next;
        }
        CHECK_MESSAGE(places >= 2, subcommand);
    }
}

TEST_CASE("methods: kd --method NAME and distill NAME train alike, and each goes on with what the other began" *
          doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    const std::string common =
        " --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --dataset s --batch 32 --epochs 1 --lr 0.01 "
        "--paraphraser-epochs 1 --threads 1 --quiet --log-steps --run ";
    for (const std::string& line : {"kd --method ft" + common + "old", "ft" + common + "new"}) {
        const Ended end = run(folder, line);
        CAPTURE(end.err);
        REQUIRE(end.code == 0);
    }
    for (const char* file : {"student.safetensors", "steps.csv", "helpers.safetensors"})
        CHECK(read_file(folder / "old" / file) == read_file(folder / "new" / file));
    CHECK(says(run(folder, "ft --resume --run old").out, {"finished before"}));
    CHECK(says(run(folder, "kd --resume --run new").out, {"finished before"}));
    check_rejected(folder, "fsp --resume --run old", {"was started with: distill ft"});
    check_rejected(folder, "kd --method fsp --resume --run new", {"--method fsp", "was started with ft"});
}

TEST_CASE("methods: kd without its KL has no column of it, and trains by the cross-entropy in any order that streams leave open" *
          doctest::test_suite("no kernels")) {
    const Form form{find_method("kd"), false};
    const auto without_kl = std::make_shared<KdOptions>(1, 0, 4);
    ShortTraining plain(form);
    plain.method.options = without_kl;
    const Outcome expected = plain.outcome("run");
    CHECK_FALSE(expected.epochs.has("loss_kd"));
    const CsvTable steps = read_csv(plain.small.path("run") / "steps.csv");
    CHECK(steps.columns == std::vector<std::string>{"step", "lr", "loss", "loss_ce"});
    for (size_t r = 0; r < steps.rows.size(); ++r) CHECK(steps.cell(r, "loss") == steps.cell(r, "loss_ce"));
    for (const Order order : {Order::main_first, Order::sides_first, Order::shuffled}) {
        ShortTraining queued(form, std::make_unique<QueuedBackend>(order));
        queued.method.options = without_kl;
        CHECK(queued.outcome("run") == expected);
    }
    const FeedWorkplace folder;
    const std::string line =
        "--student resnet8 --teacher resnet8 --teacher-weights a.safetensors --dataset s --batch 32 --max-steps 2 "
        "--threads 1 --quiet --log-steps ";
    REQUIRE(run(folder, "kd --alpha 0 --gamma 1 " + line + "--run r").code == 0);
    CHECK(read_csv(folder / "r/steps.csv").columns == steps.columns);
    CHECK(read_csv(folder / "r/steps.csv").rows.size() == 2);
}

TEST_CASE("methods: --recipe sets whose schedule and weights a method has, and what is given by hand wins" *
          doctest::test_suite("no kernels")) {
    const FeedWorkplace folder;
    const std::string line =
        "ft --recipe crd --student resnet8 --teacher resnet8 --teacher-weights a.safetensors --dataset s --batch 32 "
        "--max-steps 1 --paraphraser-epochs 1 --threads 1 --quiet --run r";
    const Ended end = run(folder, line);
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    const Config config = read_config(folder / "r/config.csv");
    for (const auto& [option, value] : {std::pair{"recipe", "crd"},
                                        {"epochs", "240"},
                                        {"lr", "0.05"},
                                        {"lr-steps", "150,180,210"},
                                        {"nesterov", "off"},
                                        {"batch", "32"},
                                        {"beta", "200"},
                                        {"benchmark-form", "on"},
                                        {"paraphraser-lr", "0.01"}})
        CHECK_MESSAGE(value_of(config, option) == value, option);
    CHECK(value_of(config, "info.by_hand") == "batch=32 (64); paraphraser-epochs=1 (30)");
    check_rejected(folder, "ft --recipe feed --resume --run r", {"--recipe feed", "was started with crd"});
    check_rejected(folder, "ft --recipe other", {"--recipe", "other", "crd", "mhgd"});
    check_rejected(folder, "kd --preset reviewkd-c100-resnet56-resnet20-kd --recipe feed",
                   {"--preset reviewkd-c100-resnet56-resnet20-kd and --recipe feed"});
}

TEST_CASE("methods: finite losses; stopped in either phase, at an epoch's end and inside, each goes on to the bit" *
          doctest::test_suite("no kernels")) {
    for (const Form& form : forms()) {
        const std::string name = form.name();
        CAPTURE(name);
        ShortTraining t(form);
        const Outcome whole = t.outcome("whole");
        CHECK(whole.epochs.rows.size() == 2);
        const CsvTable steps = read_csv(t.small.path("whole") / "steps.csv");
        const auto method = t.make()(t.small.setting(), t.small.options);
        for (size_t r = 0; r < steps.rows.size(); ++r)
            for (const std::string& loss : method->loss_names())
                if (!steps.cell(r, loss).empty()) CHECK(std::isfinite(steps.cell_number(r, loss)));
        CHECK(whole.values != method->parameters().values().to_host());
        OptionTable declared;
        t.method.options->add_to(declared);
        int64_t lengths = 0;  // of what is trained before, an epoch each here: TableOption::of_phase says so, and `watch` reads it
        for (const TableOption& option : declared.options()) lengths += option.is_phase_length;
        CHECK(static_cast<int64_t>(method->phases().size()) == lengths);
        for (const Phase& phase : method->phases()) CHECK(phase.epochs == 1);
        const int first = method->phases().empty() ? 0 : 3;  // steps of what is trained before
        std::vector<int> places = {first + 2, first + 4};    // an epoch's last step, and one in the middle
        if (first > 0) places.push_back(1);
        for (const int at : places) {
            CAPTURE(at);
            const std::string run = text("cut", at);
            {
                Stopped stopped(t.make()(t.small.setting(), t.small.options), at);
                CHECK_THROWS_AS(t.small.train(run, stopped), Interrupted);
            }
            CHECK(t.outcome(run, true) == whole);
            CHECK(t.tables(run) == t.tables("whole"));
        }
    }
}

TEST_CASE("methods: in any order that streams leave open, recorded and replayed, each trains as on the CPU" *
          doctest::test_suite("no kernels")) {
    for (const Form& form : forms()) {
        const std::string name = form.name();
        CAPTURE(name);
        ShortTraining plain(form);
        const Outcome expected = plain.outcome("run");
        for (const Order order : {Order::main_first, Order::sides_first, Order::shuffled}) {
            auto owned = std::make_unique<QueuedBackend>(order);
            const QueuedBackend& backend = *owned;
            ShortTraining queued(form, std::move(owned));
            CHECK(queued.outcome("run") == expected);
            CHECK(queued.tables("run") == plain.tables("run"));
            // Of each phase the second step of a size is recorded; from then on a step is one launch.
            CHECK(backend.captured.size() >= 2);
            CHECK(backend.step_queued.back() == 1);
        }
    }
}

TEST_CASE("methods: in bfloat16 each loss begins near the float one") {
    if (!bf16_cpu_or_skip()) return;
    for (const Form& form : forms()) {
        const std::string name = form.name();
        CAPTURE(name);
        const auto losses = [&](Precision precision) {
            ShortTraining t(form, make_backend("cpu", {1, precision}));
            t.small.options.epochs = 1;
            t.outcome("run");
            const CsvTable steps = read_csv(t.small.path("run") / "steps.csv");
            std::vector<std::pair<size_t, double>> all;  // step, loss
            for (const std::string& column : steps.columns)
                if (column.compare(0, 4, "loss") == 0)
                    for (size_t r = 0, seen = 0; r < steps.rows.size() && seen < 2; ++r)
                        if (!steps.cell(r, column).empty()) all.push_back({seen++, steps.cell_number(r, column)});
            return all;
        };
        const auto exact = losses(Precision::fp32), rounded = losses(Precision::bf16);
        REQUIRE(rounded.size() == exact.size());
        // A part that is small beside the others may be a gate's, which passes the samples that its source has right: roundings decide it.
        double largest = 0;
        for (const auto& [step, loss] : exact) largest = std::max(largest, std::fabs(loss));
        // The first step's losses are rounded alone; the second's also by what the first learnt, which some weigh by thousands. A third's
        // would say how steep such a loss is.
        for (size_t i = 0; i < exact.size(); ++i) {
            const auto& [step, loss] = exact[i];
            CHECK(std::fabs(rounded[i].second - loss) <= (step == 0 ? 0.02 : 0.1) * std::max(std::fabs(loss), 0.1 * largest));
        }
    }
}

TEST_CASE("methods: after the first epoch no step asks the system for memory") {
    for (const Form& form : forms()) {
        const std::string name = form.name();
        CAPTURE(name);
        std::vector<size_t> allocations;
        for (const int epochs : {2, 3}) {
            ShortTraining t(form);
            t.small.options.epochs = epochs;
            t.outcome("run");
            allocations.push_back(t.small.backend().arena().system_allocations());
        }
        CHECK(allocations[0] == allocations[1]);
    }
}

TEST_CASE("methods: two trainings side by side leave the files that they leave one after another" * doctest::test_suite("no kernels")) {
    const TempFolder folder;
    synthesize(folder / "data", {"synth", classes, side, 40, 20});
    for (const Form& form : forms()) {
        const std::string name = form.name();
        CAPTURE(name);
        ShortTraining t(form);
        Options o = t.small.options;
        o.data = (folder / "data").string();
        o.dataset = "synth";
        o.normalize = "none";
        o.device = "cpu";
        o.threads = 1;
        o.epochs = 1;
        Session session = open_session(o);
        CHECK((session.data->train.pixels.empty() && session.data->test.pixels.empty()));  // once in memory is enough
        CHECK(session.data_sha256().size() == 64);
        if (form.row->teachers == Teaching::several)
            o.teachers = trained().of(1) + "," + trained().of(2), o.teacher = network + "+" + network;
        if (form.row->teachers != Teaching::none) session.teachers = load_teachers(*session.backend, o, classes);
        const MethodFactory make = [&](Session& own, const Options& options) { return t.method.options->make(own.setting(), options); };
        const auto train = [&](const std::string& way, int at_a_time) {
            std::vector<PlannedRun> runs;
            for (const uint64_t seed : {3, 4}) {
                o.seed = seed;
                const std::string word = std::to_string(seed);
                runs.push_back({folder.path() / name / way / word, name, o, {{"method", name}, {"seed", word}}});
            }
            fs::create_directories(folder.path() / name / way);
            train_runs(session, runs, at_a_time, make);
        };
        train("after", 1);
        train("beside", 2);
        for (const char* seed : {"3", "4"})
            for (const char* file : {"student.safetensors", "helpers.safetensors", "steps.csv"}) {
                const fs::path after = folder.path() / name / "after" / seed / file, beside = folder.path() / name / "beside" / seed / file;
                REQUIRE(fs::exists(after) == fs::exists(beside));
                if (fs::exists(after)) CHECK_MESSAGE(read_file(after) == read_file(beside), file, " of seed ", seed);
            }
    }
}
