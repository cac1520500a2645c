// Which plans a run's convolutions take: keys, the file beside a run, and what the process shares.
#include "core_conv_plan_store.h"

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "base_files.h"
#include "complaints.h"
#include "cpu_backend.h"
#include "device.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

ConvChoice choice(int64_t engine, std::vector<std::pair<int64_t, int64_t>> knobs = {}, double ms = 0.125, bool fused = false) {
    return {fused, engine, std::move(knobs), ms};
}
ConvChoice never() {
    FAIL_CHECK("measured, though there is a choice");
    return {};
}

}  // namespace

TEST_CASE("conv plans: the key tells any two convolutions apart that may want different plans") {
    const std::vector<std::function<void(ConvKey&)>> changes = {
        [](ConvKey&) {},
        [](ConvKey& k) { k.direction = ConvDirection::backward_data; },
        [](ConvKey& k) { k.direction = ConvDirection::backward_weights; },
        [](ConvKey& k) { k.geometry.x.n = 7; },
        [](ConvKey& k) { k.geometry.x.h = 7; },
        [](ConvKey& k) { k.geometry.x.w = 7; },
        [](ConvKey& k) { k.geometry.x.c = 7; },
        [](ConvKey& k) { k.geometry.w.n = 7; },
        [](ConvKey& k) { k.geometry.w.h = 7; },
        [](ConvKey& k) { k.geometry.w.w = 7; },
        [](ConvKey& k) { k.geometry.w.c = 7; },
        [](ConvKey& k) { k.geometry.y.n = 7; },
        [](ConvKey& k) { k.geometry.y.h = 7; },
        [](ConvKey& k) { k.geometry.y.w = 7; },
        [](ConvKey& k) { k.geometry.y.c = 7; },
        [](ConvKey& k) { k.geometry.stride_h = 2; },
        [](ConvKey& k) { k.geometry.stride_w = 2; },
        [](ConvKey& k) { k.geometry.pad_h = 2; },
        [](ConvKey& k) { k.geometry.pad_w = 2; },
        [](ConvKey& k) { k.geometry.groups = 2; },
        [](ConvKey& k) { k.geometry.type = DType::bf16; },
        [](ConvKey& k) { k.bias = true; },
        [](ConvKey& k) { k.residual = true; },
        [](ConvKey& k) { k.relu = true; },
        [](ConvKey& k) { k.precision = Precision::tf32; },
        [](ConvKey& k) { k.precision = Precision::bf16; },
        [](ConvKey& k) { k.deterministic = false; },
    };
    std::set<ConvKey::Numbers> numbers;
    std::set<std::string> names;
    for (const auto& change : changes) {
        ConvKey key;
        change(key);
        numbers.insert(key.numbers());
        names.insert(to_string(key));
        CHECK(to_string(key).find('\n') == std::string::npos);
    }
    CHECK(numbers.size() == changes.size());
    CHECK(names.size() == changes.size());
}

TEST_CASE("conv plans: a choice as text and back") {
    for (const ConvChoice& c : {choice(0), choice(67, {{2, 16}, {13, -1}, {25, 12345678901}}), choice(44, {{2, 12}}, 0, true)}) {
        const auto back = parse_conv_choice(to_string(c));
        REQUIRE(back.has_value());
        CHECK(back->same_plan(c));
    }
    CHECK(to_string(choice(44, {{2, 12}, {18, 0}}, 0, true)) == "fused engine=44 2=12 18=0");
    for (const char* text : {"", "fused", "engine=", "engine=x", "engine=1 2", "engine=1 2=", "engine=1 =2", "engine=1.5", "engine=1 2=3x",
                             "Engine=1", "engine=12345678901234567890"}) {
        CAPTURE(text);
        CHECK(!parse_conv_choice(text).has_value());
    }
}

TEST_CASE("conv plans: through a file into another process") {
    const TempFolder folder;
    const auto file = folder / "conv_plans.csv";
    ConvPlanStore first("Card 1", "cuDNN 9.1.0");
    save_conv_plans(first, file);
    CHECK(!fs::exists(file));      // nothing chosen yet
    load_conv_plans(first, file);  // nothing to load

    first.choose("forward x 1, with a comma", [] { return choice(3, {{2, 1}}, 0.5); });
    first.choose("backward", [] { return choice(4, {}, 0.25, true); });
    save_conv_plans(first, file);
    CHECK(read_file(file) ==
          "device,library,convolution,plan,ms\n"
          "Card 1,cuDNN 9.1.0,backward,fused engine=4,0.25\n"
          "Card 1,cuDNN 9.1.0,\"forward x 1, with a comma\",engine=3 2=1,0.5\n");
    const auto written = fs::last_write_time(file);
    save_conv_plans(first, file);  // unchanged: left alone
    CHECK(fs::last_write_time(file) == written);

    first.forget("backward");  // as if this were another process
    first.forget("forward x 1, with a comma");
    ConvPlanStore second("Card 1", "cuDNN 9.1.0");
    load_conv_plans(second, file);
    CHECK(second.choose("backward", never).same_plan(choice(4, {}, 0, true)));
    CHECK(second.choose("forward x 1, with a comma", never).same_plan(choice(3, {{2, 1}})));
}

TEST_CASE("conv plans: what was loaded wins over what the process chose") {
    const TempFolder folder;
    ConvPlanStore running("Card 2", "cuDNN 9.1.0"), resumed("Card 2", "cuDNN 9.1.0");
    running.choose("forward", [] { return choice(1); });
    put_file(folder / "p.csv", "device,library,convolution,plan,ms\nCard 2,cuDNN 9.1.0,forward,engine=2,1\n");
    load_conv_plans(resumed, folder / "p.csv");
    CHECK(resumed.choose("forward", never).engine == 2);
    CHECK(running.choose("forward", never).engine == 1);
    CHECK(ConvPlanStore("Card 2", "cuDNN 9.1.0").choose("forward", never).engine == 1);
}

TEST_CASE("conv plans: rows of another card or version are left out") {
    const TempFolder folder;
    put_file(folder / "p.csv",
             "device,library,convolution,plan,ms\n"
             "Card 3,cuDNN 9.1.0,forward,engine=1,1\nCard 3,cuDNN 9.2.0,backward,engine=2,1\nOther card,cuDNN 9.1.0,forward,engine=3,1\n");
    ConvPlanStore store("Card 3", "cuDNN 9.1.0");
    load_conv_plans(store, folder / "p.csv");
    REQUIRE(store.choices().size() == 1);
    CHECK(store.choices().at("forward").engine == 1);
}

TEST_CASE("conv plans: a broken file is named with its line, and nothing is loaded") {
    const TempFolder folder;
    const auto file = folder / "conv_plans.csv";
    ConvPlanStore store("Card 4", "cuDNN 9.1.0");
    const std::string head = "device,library,convolution,plan,ms\n", row = "Card 4,cuDNN 9.1.0,forward,engine=1,1\n";
    const auto complaint_about = [&](const std::string& bytes) {
        put_file(file, bytes);
        const std::string message = complaint([&] { load_conv_plans(store, file); });
        CHECK(store.choices().empty());
        CHECK(says(message, {file.string()}));
        return message;
    };
    CHECK(says(complaint_about(""), {"is empty"}));
    CHECK(says(complaint_about("device,library\na,b\n"), {"line 1", "device, library", "convolution", "remove the file"}));
    CHECK(says(complaint_about(head + row + "Card 4,cuDNN 9.1.0,back"), {"line 3", "3 cells", "expected 5"}));
    CHECK(says(complaint_about(head + row + "Card 4,cuDNN 9.1.0,backward,engine=1,1"), {"line 3", "cut off"}));
    CHECK(says(complaint_about(head + row + "Card 4,cuDNN 9.1.0,backward,motor=1,1\n"), {"line 3", "'motor=1'", "engine=N"}));
    CHECK(says(complaint_about(head + row + "Card 4,cuDNN 9.1.0,backward,engine=1,soon\n"), {"row 2", "'soon'", "a number"}));
    CHECK(says(complaint_about(head + row + row), {"line 3", "'forward'", "twice"}));
    CHECK(says(complaint_about(head + "\"Card 4,cuDNN"), {"line 2", "never closed"}));
}

TEST_CASE("conv plans: trainings side by side measure once and agree") {
    std::atomic<int> measured{0};
    std::vector<int64_t> engines(4);
    std::vector<std::thread> trainings;
    for (size_t i = 0; i < engines.size(); ++i)
        trainings.emplace_back([&, i] {
            ConvPlanStore plans("Card 5", "cuDNN 9.1.0");
            engines[i] = plans.choose("forward", [&] { return choice(100 + measured++); }).engine;
        });
    for (std::thread& t : trainings) t.join();
    CHECK(measured == 1);
    CHECK(engines == std::vector<int64_t>(4, 100));
    ConvPlanStore other_card("Card 6", "cuDNN 9.1.0");
    CHECK(other_card.choose("forward", [] { return choice(7); }).engine == 7);
}

TEST_CASE("conv plans: a measurement that fails leaves no choice behind") {
    ConvPlanStore plans("Card 7", "cuDNN 9.1.0");
    CHECK_THROWS_AS(plans.choose("forward", []() -> ConvChoice { throw std::runtime_error("no memory"); }), std::runtime_error);
    CHECK(plans.choices().empty());
    CHECK(plans.choose("forward", [] { return choice(1); }).engine == 1);
}

TEST_CASE("conv plans: the fastest is taken, or what ranks higher and is as fast within 3 %") {
    const auto engine_of = [](const std::vector<double>& times) {
        std::vector<ConvChoice> timed;
        for (const double ms : times) timed.push_back(choice(static_cast<int64_t>(timed.size()), {}, ms));
        return best_choice({}, timed).engine;
    };
    CHECK(engine_of({5}) == 0);
    CHECK(engine_of({5, 3, 4}) == 1);
    CHECK(engine_of({1.02, 1, 1.01}) == 0);
    CHECK(engine_of({1.04, 1.02, 1}) == 1);
}

TEST_CASE("conv plans: weight gradients from bf16 maps are rounded alike, whichever plan was faster") {
    ConvKey gradient;
    gradient.direction = ConvDirection::backward_weights;
    gradient.geometry.type = DType::bf16;
    ConvKey forward = gradient, floats = gradient;
    forward.direction = ConvDirection::forward;
    floats.geometry.type = DType::f32;
    for (const auto& [wide_ms, narrow_ms] : {std::pair{1.0, 2.0}, {2.0, 1.0}}) {
        const ConvChoice wide = choice(1, {}, wide_ms, true), narrow = choice(2, {}, narrow_ms);
        for (const auto& timed : {std::vector{wide, narrow}, std::vector{narrow, wide}}) {
            CHECK(best_choice(gradient, timed).engine == wide.engine);
            const int64_t faster = wide_ms < narrow_ms ? wide.engine : narrow.engine;
            CHECK(best_choice(forward, timed).engine == faster);
            CHECK(best_choice(floats, timed).engine == faster);
        }
    }
    CHECK(best_choice(gradient, {choice(2)}).engine == 2);  // where the library has no other
}

TEST_CASE("conv plans: the CPU has none to keep") {
    const TempFolder folder;
    const auto cpu = make_cpu_backend();
    CHECK(cpu->conv_plans() == nullptr);
    save_conv_plans(*cpu, folder / "p.csv");
    CHECK(!fs::exists(folder / "p.csv"));
    put_file(folder / "p.csv", "broken");
    CHECK_NOTHROW(load_conv_plans(*cpu, folder / "p.csv"));
}

TEST_CASE("conv plans: a process that starts anew finds what this machine chose before") {
    struct Choosing final : CpuBackend {
        explicit Choosing(const std::string& device) : CpuBackend({0, Precision::fp32}), plans(device, "cuDNN 9") {}
        ConvPlanStore* conv_plans() override { return &plans; }
        ConvPlanStore plans;
    };
    const TempFolder folder;
    const char* before = std::getenv("XDG_CACHE_HOME");
    const std::string kept = before ? before : "";
    ::setenv("XDG_CACHE_HOME", folder.path().c_str(), 1);
    Choosing first("card A"), again("card A"), other("card B");
    recall_machine_conv_plans(first);  // nothing is there yet
    keep_machine_conv_plans(first);    // and nothing was chosen
    CHECK(fs::is_empty(folder.path()));
    first.plans.choose("machine key", [] { return choice(7, {{1, 2}}); });
    keep_machine_conv_plans(first);
    Choosing beside("card A");  // began when nothing was there, and ends later
    beside.plans.adopt({{"machine key", choice(8)}, {"another key", choice(9)}});
    keep_machine_conv_plans(beside);
    recall_machine_conv_plans(again);
    recall_machine_conv_plans(other);
    CHECK(again.plans.choices().at("another key").engine == 9);
    CHECK(again.plans.choices().at("machine key").same_plan(choice(7, {{1, 2}})));
    CHECK(other.plans.choices().empty());
    CHECK(again.plans.adoptions() == 0);  // nothing that was prepared is another now: a search would build its plans anew for each trial
    recall_machine_conv_plans(again);
    CHECK(again.plans.adoptions() == 0);
    again.plans.adopt({{"machine key", choice(8)}, {"a third key", choice(5)}});
    CHECK(again.plans.adoptions() == 1);
    for (const auto& entry : fs::directory_iterator(folder / "distill")) put_file(entry.path(), "no table");
    Choosing later("card A");
    recall_machine_conv_plans(later);  // a broken file costs a note
    CHECK(later.plans.choices().empty());
    later.plans.adopt({{"machine key", choice(8)}});
    keep_machine_conv_plans(later);  // and is begun anew
    Choosing last("card A");
    recall_machine_conv_plans(last);
    CHECK(last.plans.choices().at("machine key").engine == 8);
    before ? ::setenv("XDG_CACHE_HOME", kept.c_str(), 1) : ::unsetenv("XDG_CACHE_HOME");
}

TEST_SUITE_END();
