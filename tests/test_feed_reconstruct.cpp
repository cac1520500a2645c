// FEED's reconstruction experiment: what its errors mean, that a decoder learns, and the command's table, interruptions, bad input.
#include <signal.h>

#include <algorithm>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "cmd_feed_reconstruct.h"
#include "command.h"
#include "complaints.h"
#include "feed_workplace.h"
#include "queued_backend.h"
#include "small_training.h"

using namespace distill;
using namespace distill::testing;

namespace {

/// Sets a decoder of one convolution to x ↦ factor·x + bias.
void set_decoder(const Phase& p, float factor, const std::vector<float>& bias) {
    WeightFile file{p.parameters->to_file(), {}};
    auto& weight = file.tensors.at("decoder.conv0.weight");
    REQUIRE(weight.shape == std::vector<int64_t>{64, 64, 3, 3});
    std::fill(weight.data.begin(), weight.data.end(), 0.0f);
    for (size_t c = 0; c < 64; ++c) weight.data[(c * 64 + c) * 9 + 4] = factor;
    file.tensors.at("decoder.conv0.bias").data = bias;
    p.parameters->from_file(file, "the test");
}

const std::string training = "feed reconstruct --dataset s --batch 32 --epochs 2 --lr 0.01 --lr-steps 1 --threads 1 --quiet ";

std::vector<std::vector<std::string>> rows_of(const fs::path& run) {
    CsvTable table = read_csv(run / "reconstruct.csv");
    for (auto& row : table.rows) row[table.column("seconds")] = "";
    return table.rows;
}

}  // namespace

TEST_CASE("reconstruct: 0 for the map itself, 1 for the means of its channels") {
    SmallTraining t;
    ReconstructOptions shallow;
    shallow.depth = 1;
    const Loader loader = t.loader();
    MapDecoder decoder(t.backend(), loader, t.teacher(), t.teacher(), t.options, shallow);
    CHECK(decoder.count() == 64 * 64 * 9 + 64);
    const Phase p = decoder.phase("decoder");
    set_decoder(p, 1, std::vector<float>(64));
    CHECK(decoder.test().relative_mse < 1e-12);  // but for the roundings of minimal filtering
    CHECK(decoder.test().feed_distance < 1e-7);
    set_decoder(p, 2, std::vector<float>(64));
    const double twice = decoder.test().relative_mse;  // mean of squares / variance
    CHECK(decoder.test().feed_distance < 1e-7);        // a map's length does not count

    std::vector<float> means(64);
    double squares = 0, rows = 0;
    for (int64_t step = 0; step < loader.test_steps(); ++step) {
        const std::vector<float> map = t.teacher()(loader.test_batch(step).images)->map().value().to_host();
        for (size_t i = 0; i < map.size(); ++i) means[i % 64] += map[i], squares += static_cast<double>(map[i]) * map[i];
        rows += static_cast<double>(map.size()) / 64;
    }
    double of_means = 0;
    for (float& m : means) m /= static_cast<float>(rows), of_means += static_cast<double>(m) * m;
    set_decoder(p, 0, means);
    CHECK(decoder.test().relative_mse == doctest::Approx(1).epsilon(1e-4));
    CHECK(twice == doctest::Approx(squares / (squares - rows * of_means)).epsilon(1e-4));
}

TEST_CASE("reconstruct: a decoder learns, its own map better than a stranger's") {
    SmallTraining t;
    t.options.epochs = 60;
    ReconstructOptions shallow;
    shallow.depth = 1;
    t.options.lr = 0.1;
    t.options.lr_steps = "50";
    Options other = t.options;
    other.seed = 9;
    const Teacher stranger(t.backend(), other, 4);
    t.settle(t.teacher());
    t.settle(stranger);
    double errors[2];
    for (const bool own : {true, false}) {
        Loader loader = t.loader();
        MapDecoder decoder(t.backend(), loader, t.teacher(), own ? t.teacher() : stranger, t.options, shallow);
        const double before = decoder.test().relative_mse;
        PhaseTraining phase(t.backend(), loader, decoder.phase("decoder"), t.options);
        phase.run(RunFolder::create(t.path(own ? "own" : "other"), t.config()), [] {});
        errors[own] = decoder.test().relative_mse;
        CHECK(errors[own] < before);
        CHECK(phase.last_loss() < before);
        const CsvTable rows = read_csv(t.path(own ? "own" : "other") / "decoder.csv");
        CHECK(rows.columns == std::vector<std::string>{"epoch", "lr", "relative_mse", "seconds"});
        CHECK(rows.rows.size() == 60);
    }
    MESSAGE("relative error of the own map ", errors[1], ", of another network's ", errors[0]);
    CHECK(errors[1] < 0.1);
    CHECK(errors[1] < errors[0]);
}

TEST_CASE("reconstruct: errors are taken in the same memory each time, with the networks on streams of their own") {
    SmallTraining t(std::make_unique<QueuedBackend>(Order::main_first));
    const Loader loader = t.loader();
    MapDecoder decoder(t.backend(), loader, t.teacher(), t.teacher(), t.options, {});
    const MapDecoder::Error first = decoder.test();
    const size_t bytes = t.backend().arena().system_bytes();
    for (int again = 0; again < 3; ++again) CHECK(decoder.test().relative_mse == first.relative_mse);
    CHECK(t.backend().arena().system_bytes() == bytes);
}

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("reconstruct: a row for each student and teacher; interrupted anywhere, the same rows") {
    const FeedWorkplace folder;
    fs::create_directories(folder / "several/s0");
    fs::create_directories(folder / "several/s1");
    fs::copy(folder / "a.safetensors", folder / "several/s0/student.safetensors");
    fs::copy(folder / "b.safetensors", folder / "several/s1/student.safetensors");
    const std::string asked = training + "--students feed=several,plain=wide.safetensors --teachers a.safetensors,wide.safetensors ";
    const Ended end = run(folder, asked + "--run whole");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    const CsvTable table = read_csv(folder / "whole/reconstruct.csv");
    CHECK(table.columns == std::vector<std::string>{"method", "seed", "student", "teacher", "decoder_parameters", "epochs", "train_error",
                                                    "relative_mse", "feed_distance", "seconds"});
    REQUIRE(table.rows.size() == 6);
    CHECK(table.cell(1, "method") == "feed");
    CHECK(table.cell(1, "seed") == "1");
    CHECK(table.cell(1, "student") == "several/s0/student.safetensors");
    CHECK(table.cell(1, "teacher") == "wide.safetensors");
    CHECK(table.cell_number(1, "decoder_parameters") == 9 * (64 * 128 + 2 * 128 * 128) + 3 * 128);
    CHECK(table.cell(2, "seed") == "2");
    CHECK(table.cell(4, "method") == "plain");
    for (size_t r = 0; r < 6; ++r) {
        CHECK(table.cell_number(r, "relative_mse") > 0);
        CHECK(table.cell_number(r, "feed_distance") > 0);
        const CsvTable epochs = read_csv(folder / ("whole/decoder" + std::to_string(r) + ".csv"));
        CHECK(epochs.cell(1, "relative_mse") == table.cell(r, "train_error"));
        CHECK(epochs.cell_number(1, "lr") == doctest::Approx(0.001));
    }
    // A signal somewhere in a pair, twice; then to the end.
    for (const auto& [line, table_of_pair] : {std::pair<std::string, std::string>{asked + "--run cut", "cut/decoder0.csv"},
                                              {"feed reconstruct --quiet --resume --run cut", "cut/decoder3.csv"}}) {
        Command command(folder, line);
        wait_until(command, [file = folder / table_of_pair] { return fs::exists(file); });
        command.send(SIGTERM);
        const Ended cut = command.wait();
        CHECK(cut.code == 3);
        CHECK(says(cut.err, {"--resume --run cut"}));
    }
    check_rejected(folder, asked + "--run cut", {"cut", "exists", "--resume"});
    REQUIRE(run(folder, "feed reconstruct --quiet --resume --run cut").code == 0);
    CHECK(rows_of(folder / "cut") == rows_of(folder / "whole"));
    CHECK(run(folder, "feed reconstruct --quiet --resume --run cut").code == 0);  // nothing is left to do
    CHECK(rows_of(folder / "cut") == rows_of(folder / "whole"));
    put_file(folder / "cut/reconstruct.csv", "method,se");  // as a disk that was full leaves it
    REQUIRE(run(folder, "feed reconstruct --quiet --resume --run cut").code == 0);
    CHECK(rows_of(folder / "cut") == rows_of(folder / "whole"));
    fs::copy_file(folder / "b.safetensors", folder / "several/s0/student.safetensors", fs::copy_options::overwrite_existing);
    check_rejected(folder, "feed reconstruct --resume --run cut", {"student0", "SHA-256"});
}

TEST_CASE("reconstruct: bad input") {
    const FeedWorkplace folder;
    fs::create_directory(folder / "empty");
    const std::string teacher = "--teachers a.safetensors ";
    check_rejected(folder, training + teacher, {"--students", "no student"});
    check_rejected(folder, training + "--students a.safetensors", {"--teachers", "no teacher"});
    check_rejected(folder, training + teacher + "--students feed=", {"--students", "names no file"});
    check_rejected(folder, training + teacher + "--students none.safetensors", {"none.safetensors"});
    check_rejected(folder, training + teacher + "--students empty", {"empty", "no student.safetensors"});
    check_rejected(folder, training + teacher + "--students ten.safetensors", {"ten.safetensors", "classes", "10", "expected 4"});
    check_rejected(folder, training + "--teachers ten.safetensors --students a.safetensors", {"ten.safetensors", "expected 4"});
    check_rejected(folder, training + "--teachers a.safetensors --teacher-nets resnet14 --students b.safetensors",
                   {"a.safetensors", "network", "resnet8", "resnet14"});
    WeightFile silent = read_safetensors(folder / "a.safetensors");
    silent.metadata.clear();
    write_safetensors(folder / "silent.safetensors", silent);
    check_rejected(folder, training + teacher + "--students silent.safetensors", {"silent.safetensors", "--student"});
    check_rejected(folder, training + teacher + "--students silent.safetensors --student resnet14", {"silent.safetensors", "missing"});
    check_rejected(folder, training + teacher + "--students b.safetensors --decoder-depth 0", {"--decoder-depth", "0"});
    CHECK(run(folder, training + teacher + "--students silent.safetensors --student resnet8 --epochs 1 --run said").code == 0);
    CHECK(read_csv(folder / "said/reconstruct.csv").cell(0, "method") == "silent");
    check_rejected(folder, "feed parallel --resume --run said", {"said", "feed reconstruct"});
}

TEST_SUITE_END();
