// Every kind of bad input that the program promises to name, met by the program itself: exit code 2, one line, nothing written.
#include <sys/mount.h>

#include <cerrno>
#include <cstring>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_subprocess.h"
#include "base_texts.h"
#include "command.h"
#include "complaints.h"
#include "core_backend.h"
#include "device.h"
#include "net_table.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

constexpr int kRecord = 1 + 3 * 16 * 16;

/// data/s: four textures, 100 training and 40 test images of 16x16; resnet8.safetensors: that network, 4 classes, not trained.
struct ResnetWorkplace : Workplace {
    ResnetWorkplace() { save(resnet8()); }
    static WeightFile resnet8() {
        const auto backend = make_backend("cpu");
        Parameters parameters(*backend, false);
        const auto network = make_network("resnet8", 4, parameters);
        parameters.allocate(0);
        return {parameters.to_file(), {}};
    }
    void save(const WeightFile& file) const { write_safetensors(path() / "resnet8.safetensors", file); }
};

const std::string on_s = " --dataset s --batch 32 --epochs 1 --threads 1 --quiet ";
const std::string train_s = "train --net resnet8" + on_s;

void replace_byte(const fs::path& file, size_t at, int byte) {
    std::string bytes = read_file(file);
    bytes.at(at) = static_cast<char>(byte);
    write_file_atomically(file, bytes);
}

/// A tree for `data import images`: two classes of two images each, in training and test.
void put_class_folders(const fs::path& from) {
    for (const char* part : {"train", "test"})
        for (const char* name : {"cat", "dog"})
            for (const char* file : {"0.jpg", "1.jpg"}) put_file(from / part / name / file, read_file(golden("gradient.jpg")));
}

/// A file system of `size`; false, and the case is skipped, where none can be mounted.
class SmallDisk {
  public:
    SmallDisk(fs::path at, const char* size) : at_(std::move(at)) {
        fs::create_directory(at_);
        there_ = ::mount("tmpfs", at_.c_str(), "tmpfs", 0, size) == 0;
        if (!there_) skip(std::string("a file system cannot be mounted: ") + std::strerror(errno));
    }
    ~SmallDisk() {
        if (there_) ::umount(at_.c_str());
    }
    explicit operator bool() const { return there_; }
    void grow(const char* size) const { REQUIRE(::mount("tmpfs", at_.c_str(), "tmpfs", MS_REMOUNT, size) == 0); }

  private:
    fs::path at_;
    bool there_;
};

}  // namespace

TEST_CASE("bad input: a binary file that is cut, too long, mislabelled or changed") {
    const ResnetWorkplace folder;
    const fs::path train = folder / "data/s/train.bin";
    const std::string whole = read_file(train);
    const std::string multiple = text("expected a multiple of ", kRecord);
    write_file_atomically(train, std::string_view(whole).substr(0, whole.size() - 1));
    check_rejected(folder, train_s, {"data/s/train.bin", text("found ", whole.size() - 1, " bytes"), multiple, "fetch or import it again"});
    write_file_atomically(train, whole + "x");
    check_rejected(folder, train_s, {"data/s/train.bin", text("found ", whole.size() + 1, " bytes"), multiple, "1 bytes are left over"});
    write_file_atomically(train, whole + whole.substr(0, kRecord));
    check_rejected(folder, train_s, {"data/s/train.bin", "found records_train 101", "expected 100", "meta.csv", "import"});
    write_file_atomically(train, whole);
    replace_byte(train, 2 * kRecord, 4);
    check_rejected(folder, train_s, {"data/s/train.bin", text("byte ", 2 * kRecord, " (record 2)"), "found label 4", "expected 0 to 3"});
    write_file_atomically(train, whole);
    replace_byte(train, 5 * kRecord + 7, whole[5 * kRecord + 7] ^ 1);
    check_rejected(folder, train_s, {"data/s/train.bin", "sha256_train", "expected", "damaged", "again"});
    fs::remove(train);
    check_rejected(folder, train_s, {"data/s/train.bin", "is missing", "distill data import"});
    write_file_atomically(train, whole);
    put_file(folder / "data/s/meta.csv", "key,value\nheight,tall\n");
    check_rejected(folder, train_s, {"data/s/meta.csv", "row 'height'", "found 'tall'", "expected a number"});

    put_file(folder / "data/cifar-100-binary/train.bin", std::string(3074, '\x14'));  // coarse label 20
    put_file(folder / "data/cifar-100-binary/test.bin", std::string(3074, '\0'));
    check_rejected(folder, "train --net resnet8 --dataset cifar100",
                   {"cifar-100-binary/train.bin", "byte 0", "coarse label 20", "0 to 19"});
    check_rejected(folder, "train --net resnet8 --dataset cifar10",
                   {"cifar-10-batches-bin/data_batch_1.bin", "distill data fetch cifar10"});
}

TEST_CASE("bad input: names that are not there list those that are") {
    const ResnetWorkplace folder;
    check_rejected(folder, "train --net resnet9 --dataset s", {"unknown network 'resnet9'", "resnet8, resnet14", "wrn-16-2"});
    check_rejected(folder, "train --dataset s", {"no network named", "resnet8, resnet14"});
    check_rejected(folder, "eval --net vgg9 --dataset s --init x", {"unknown network 'vgg9'", "resnet8"});
    check_rejected(folder, "info --net resnet", {"unknown network 'resnet'", "resnet8"});
    check_rejected(folder, "info --net resnet8 --classes 0", {"info: --classes", "0 not in range 1 to"});
    check_rejected(folder, "info --net resnet8 --size 7", {"info: --size", "7 not in range 8 to"});
    check_rejected(folder, "train --net resnet8 --dataset imagenet",
                   {"no data set 'imagenet' in data", "found there: s", "cifar10, cifar100"});
    check_rejected(folder, "kd --student resnet8" + on_s, {"--teacher: no network named", "resnet8"});
    check_rejected(folder, "kd --student resnet8 --teacher resnet5" + on_s, {"unknown network 'resnet5'"});
    check_rejected(folder, "kd --student resnet8 --teacher resnet8" + on_s,
                   {"--teacher-weights", "is missing", "distill train --net resnet8"});
    check_rejected(folder, "eval --net resnet8 --dataset s", {"--weights: the weight file", "missing"});
    check_rejected(folder, "data fetch cifar1000", {"found 'cifar1000'", "cifar10, cifar100, tiny-imagenet"});
    check_rejected(folder, "data import pictures", {"found 'pictures'", "tiny-imagenet, images or fashion-mnist"});
    check_rejected(folder, "report nowhere", {"nowhere: is no folder", "expected a run folder"});
}

TEST_CASE("bad input: a teacher and a student that review cannot pair") {
    const ResnetWorkplace folder;
    for (const auto& [teacher, student] :
         {std::pair<std::string, std::string>{"vgg16-mhgd", "vgg7-mhgd"}, {"vgg7-mhgd", "resnet8"}, {"wrn-40-2", "vgg7-mhgd"}})
        check_rejected(folder, "reviewkd --teacher " + teacher + " --student " + student + on_s + "--teacher-weights resnet8.safetensors",
                       {"reviewkd: teacher " + teacher + " and student " + student + " do not pair:", "; name "});
}

TEST_CASE("bad input: weights that are not the network's") {
    const ResnetWorkplace folder;
    const fs::path file = folder / "resnet8.safetensors";
    const std::string whole = read_file(file);
    const std::string lines[] = {train_s + "--init resnet8.safetensors",
                                 "eval --net resnet8 --dataset s --batch 32 --threads 1 --init resnet8.safetensors",
                                 "kd --student resnet8 --teacher resnet8 --teacher-weights resnet8.safetensors" + on_s};
    const auto rejected = [&](std::vector<std::string> parts) {
        parts.push_back("resnet8.safetensors");
        for (const std::string& line : lines) check_rejected(folder, line, parts);
    };
    for (const size_t length : {size_t{5}, size_t{100}, whole.size() - 1}) {
        write_file_atomically(file, std::string_view(whole).substr(0, length));
        rejected({"download or convert the file again"});
    }
    write_file_atomically(file, whole);
    replace_byte(file, 8, '[');
    rejected({"offset ", "the header is not valid JSON"});

    WeightFile weights = ResnetWorkplace::resnet8();
    weights.tensors.at("fc.weight") = {{5, 64}, std::vector<float>(320)};
    folder.save(weights);
    rejected({"wrong shapes: fc.weight: found [5,64], expected [4,64]", "name the network the file was saved from"});
    weights = ResnetWorkplace::resnet8();
    weights.tensors.erase("layer1.0.conv1.weight");
    weights.tensors.erase("bn1.running_mean");
    weights.tensors["layer4.bias"] = {{1}, {0}};
    folder.save(weights);
    rejected({"missing: bn1.running_mean, layer1.0.conv1.weight", "not of this network: layer4.bias"});
    fs::remove(file);
    rejected({"cannot be read", "No such file"});
    fs::create_directory(file);
    rejected({"is a folder, expected a file"});
    fs::remove(file);

    // What DESIGN lets pass: counters of batches, and the prefix of a parallel model; and what thop leaves in each module that it counted.
    WeightFile parallel;
    for (auto& [name, tensor] : ResnetWorkplace::resnet8().tensors) parallel.tensors["module." + name] = tensor;
    parallel.tensors["module.bn1.num_batches_tracked"] = {{}, {7}};
    for (const char* counted : {"total_ops", "module.total_params", "module.layer1.0.total_ops"}) parallel.tensors[counted] = {{1}, {40}};
    folder.save(parallel);
    for (const std::string& line : lines) {
        CHECK(run(folder, line).code == 0);
        fs::remove_all(folder / "runs");
    }
}

TEST_CASE("bad input: trees of image files") {
    const TempFolder folder;
    const std::string images = "data import images --from from --size 16 --quiet",
                      tiny = "data import tiny-imagenet --from from --size 16 --quiet";
    const fs::path from = folder / "from";
    put_class_folders(from);
    SUBCASE("a broken JPEG") {
        const std::string whole = read_file(golden("gradient.jpg"));
        put_file(from / "train/dog/1.jpg", whole.substr(0, whole.size() / 2));
        check_rejected(
            folder, images,
            {"from/train/dog/1.jpg: cannot be decoded", "the file ends: byte ", "expected a whole JPEG", "replace or remove it"});
        put_file(from / "train/dog/1.jpg", whole.substr(0, whole.size() - 40) + "\xFF\xD9");
        check_rejected(folder, images,
                       {"from/train/dog/1.jpg: cannot be decoded (JPEG, byte ", ": found the image's end after ", "expected a whole JPEG"});
    }
    SUBCASE("not an image") {
        put_file(from / "test/cat/0.jpg", "this is a text\n");
        check_rejected(folder, images, {"from/test/cat/0.jpg: cannot be decoded", "unknown image type", "expected a whole JPEG"});
    }
    SUBCASE("a class without images") {
        fs::remove_all(from / "train/dog");
        fs::create_directory(from / "train/dog");
        check_rejected(folder, images, {"from/train/dog: found no image", "expected at least one", "add some or remove the class"});
    }
    SUBCASE("no tree") {
        check_rejected(folder, "data import images --from nowhere --size 16", {"nowhere/train: cannot be listed", "FROM/train/<class>"});
    }
    SUBCASE("val_annotations.txt") {
        put_file(from / "wnids.txt", "n1\nn2\n");
        for (const std::string wnid : {"n1", "n2"})
            put_file(from / "train" / wnid / "images" / (wnid + "_0.JPEG"), read_file(golden("gradient.jpg")));
        put_file(from / "val/images/val_0.JPEG", read_file(golden("gradient.jpg")));
        check_rejected(folder, tiny, {"from/val/val_annotations.txt: is missing", "expected the official tree's list"});
        put_file(from / "val/val_annotations.txt", "val_0.JPEG\tn7\t0\t0\t1\t1\n");
        check_rejected(folder, tiny, {"from/val/val_annotations.txt: line 1: found the unknown class 'n7'", "wnids.txt"});
        put_file(from / "val/val_annotations.txt", "val_0.JPEG\tn2\t0\t0\t1\t1\n");
        CHECK(run(folder, tiny).code == 0);
    }
}

TEST_CASE("bad input: a batch or a validation part larger than the data, a folder in the way") {
    const ResnetWorkplace folder;
    check_rejected(folder, train_s + "--batch 101", {"--batch 101", "training part of s has 100 records", "from 1 to 100"});
    check_rejected(folder, train_s + "--val 80", {"--batch 32", "training part of s has 20 records"});
    check_rejected(folder, train_s + "--val 100", {"--val: found 100", "expected 1 to 96"});
    check_rejected(folder, train_s + "--save no/where.safetensors", {"--save no/where.safetensors", "folder is not there"});
    check_rejected(folder, train_s + "--run data", {"data: this run folder exists", "--resume", "--run"});
    check_rejected(folder, train_s + "--run resnet8.safetensors/run", {"resnet8.safetensors/run", "cannot be made", "--run"});
    check_rejected(folder, "data synth --dataset s", {"data/s: exists already", "--force"});
}

TEST_CASE("bad input: a checkpoint that is cut or damaged") {
    const ResnetWorkplace folder;
    REQUIRE(run(folder, train_s + "--run r").code == 0);
    fs::remove(folder / "r/result.csv");  // as if it had been cut off before its end
    const fs::path file = folder / "r/checkpoint.bin";
    const std::string whole = read_file(file);
    for (const size_t length : {size_t{0}, size_t{20}, whole.size() / 2, whole.size() - 1}) {
        write_file_atomically(file, std::string_view(whole).substr(0, length));
        check_rejected(folder, "train --resume --run r",
                       {"r/checkpoint.bin", length < 8 ? "not a checkpoint" : "cut short", "start the run again"});
    }
    for (const size_t at : {size_t{0}, size_t{8}, size_t{16}, whole.size() / 2, whole.size() - 1}) {
        write_file_atomically(file, whole);
        replace_byte(file, at, whole[at] ^ 0x40);
        check_rejected(folder, "train --resume --run r", {"r/checkpoint.bin", "start the run again"});
    }
    write_file_atomically(file, whole);
    CHECK(run(folder, "train --resume --run r").code == 0);
}

TEST_CASE("bad input: a full disk is named, leaves nothing half-written, and the run goes on once there is room") {
    const ResnetWorkplace folder;
    SUBCASE("from the start") {
        const SmallDisk disk(folder / "disk", "size=8k,nr_inodes=3");
        if (!disk) return;
        put_file(folder / "disk/filler", std::string(8192, 'x'));
        const auto before = listing(folder.path());
        for (const std::string& line : {train_s + "--run disk/run", std::string("data synth --data disk")}) {
            const Ended end = run(folder, line);
            CHECK(end.code == 1);
            CHECK(says(end.err, {"disk/", "cannot be written (No space left on device); free some space or choose another folder"}));
            CHECK(listing(folder.path()) == before);
        }
    }
    SUBCASE("in mid-run") {
        const SmallDisk disk(folder / "disk", "size=64k");
        if (!disk) return;
        const Ended end = run(folder, train_s + "--run disk/run");
        CHECK(end.code == 1);
        CHECK(end.err.find('\n') == end.err.size() - 1);
        CHECK(says(end.err, {"disk/run/checkpoint.bin: cannot be written (No space left on device)", "free some space"}));
        CHECK_FALSE(fs::exists(folder / "disk/run/checkpoint.bin"));
        for (const auto& [name, unused] : listing(folder / "disk")) CHECK(name.find(".partial-") == std::string::npos);
        CHECK_FALSE(fs::exists(folder / "disk/run/result.csv"));
        disk.grow("size=8m");
        CHECK(run(folder, "train --resume --run disk/run").code == 0);
        REQUIRE(run(folder, train_s + "--run whole").code == 0);
        CHECK(read_file(folder / "disk/run/student.safetensors") == read_file(folder / "whole/student.safetensors"));
        CHECK(without_seconds(folder / "disk/run/epochs.csv") == without_seconds(folder / "whole/epochs.csv"));
    }
}

TEST_CASE("bad input: a disk that fills up ends a search, and is no trial's fault") {
    const ResnetWorkplace folder;
    const SmallDisk disk(folder / "disk", "size=96k");
    if (!disk) return;
    const std::string search =
        "ktg search --dataset s --nodes 2 --target resnet8 --models resnet8 --epochs 1 --batch 25 --alone-batch 25 "
        "--trials 1 --retrain-seeds 1 --best 1 --threads 1 --quiet ";
    const Ended end = run(folder, search + "--run disk/g");
    CAPTURE(end.err);
    CHECK(end.code == 1);
    CHECK(says(end.err, {"cannot be written (No space left on device); free some space"}));
    CHECK(end.err.find('\n') == end.err.size() - 1);
    REQUIRE(fs::exists(folder / "disk/g/journal.csv"));
    CHECK(read_file(folder / "disk/g/journal.csv").find("failed") == std::string::npos);
}

TEST_CASE("bad input: a place that cannot be written to is the input's fault, and nobody is told to free space") {
    const ResnetWorkplace folder;
    for (const int reason : {ENOENT, EACCES, EROFS, ENOTDIR}) {
        const std::string said = complaint([&] { cannot_write("x", reason); });
        CHECK(says(said, {std::strerror(reason), "choose another folder"}));
        CHECK(said.find("free some space") == std::string::npos);
    }
    CHECK(complaint<WriteError>([] { cannot_write("x", EIO); }) == text("x: cannot be written (", std::strerror(EIO), ")"));
    CHECK(says(complaint<WriteError>([] { cannot_write("x", EDQUOT); }), {"free some space"}));
}

TEST_CASE("bad input: --save is looked at before there is a run, and replaces weight files alone") {
    const ResnetWorkplace folder;
    put_file(folder / "notes.txt", "mine");
    check_rejected(folder, train_s + "--save notes.txt", {"--save notes.txt", "is no weight file", "not replaced"});
    fs::create_directory(folder / "out");
    check_rejected(folder, train_s + "--save out", {"--save out", "is no weight file"});
    check_rejected(folder, train_s + "--save " + std::string(250, 'n') + ".safetensors", {"cannot be written", "File name too long"});
    check_rejected(folder, train_s + "--save /proc/w.safetensors", {"/proc/w.safetensors: cannot be written"});
    CHECK(run(folder, train_s + "--save resnet8.safetensors --run r").code == 0);
    const std::string student = read_file(folder / "r/student.safetensors");
    CHECK(read_file(folder / "resnet8.safetensors") == student);
    fs::create_symlink("out/w.safetensors", folder / "link.safetensors");  // which stays one
    CHECK(run(folder, train_s + "--save link.safetensors --run linked").code == 0);
    CHECK(fs::is_symlink(folder / "link.safetensors"));
    CHECK(read_file(folder / "out/w.safetensors") == read_file(folder / "linked/student.safetensors"));

    // Of a run that is finished, too: what is missing, and what is asked for.
    fs::remove(folder / "resnet8.safetensors");
    CHECK(says(run(folder, train_s + "--save resnet8.safetensors --run r --auto-resume").out, {"saved: resnet8.safetensors", "skipped"}));
    CHECK(read_file(folder / "resnet8.safetensors") == student);
    CHECK(says(run(folder, "train --resume --run r --save second.safetensors").out, {"saved: second.safetensors", "skipped"}));
    CHECK(read_file(folder / "second.safetensors") == student);
    check_rejected(folder, "train --resume --run r --save notes.txt", {"--save notes.txt", "not replaced"});

    // A name goes where the run was started, not where it goes on; no copy is made where that is gone.
    fs::remove(folder / "resnet8.safetensors");
    const TempFolder elsewhere;
    succeed(elsewhere, "train --resume --run " + (folder / "r").string(), {"resnet8.safetensors", "skipped"});
    CHECK(listing(elsewhere.path()).empty());
    CHECK(read_file(folder / "resnet8.safetensors") == student);
    CHECK(run(folder, train_s + "--save kept/w.safetensors --run other").code == 2);
    fs::create_directory(folder / "kept");
    CHECK(run(folder, train_s + "--save kept/w.safetensors --run other").code == 0);
    fs::remove_all(folder / "kept");
    succeed(folder, "train --resume --run other", {"note: --save", "kept/w.safetensors: its folder is not here", "skipped"});
}

TEST_CASE("bad input: --save does not replace a file that the run reads") {
    const ResnetWorkplace folder;
    fs::create_symlink("resnet8.safetensors", folder / "link.safetensors");
    const std::string kd = "kd --student resnet8 --teacher resnet8" + on_s + "--teacher-weights resnet8.safetensors --save ";
    const auto refused = [&](const std::string& line, const std::string& name) {
        check_rejected(folder, line + name, {"--save " + name, "which is read and must stay as it is", "name another"});
    };
    for (const char* name : {"resnet8.safetensors", "./data/../resnet8.safetensors", "link.safetensors"}) refused(kd, name);
    const std::string file = "resnet8.safetensors";
    refused(train_s + "--init resnet8.safetensors --save ", file);
    refused("ensemble --student resnet8 --teachers link.safetensors,resnet8.safetensors --teacher-nets resnet8" + on_s + "--save ", file);
    refused("feed sequential --teachers resnet8.safetensors --teacher-nets resnet8" + on_s + "--save ", file);
    refused("mhgd --student resnet8 --teacher resnet8 --teacher-weights x.safetensors --mha resnet8.safetensors" + on_s + "--save ", file);
    const std::string graph = "ktg train --models 0=resnet8,1=resnet8" + on_s;
    refused(graph + "--graph kd --weights 1=resnet8.safetensors --save ", file);
    put_file(folder / "g.csv",
             "node,model,weights,gate_0,gate_1\n0,resnet8,,through,through\n1,resnet8,resnet8.safetensors,cutoff,cutoff\n");
    refused(graph + "--graph g.csv --save ", file);
    // Teachers that were trained for another run, and a run that is finished.
    const std::string taught = "ensemble --student resnet8 --train-teachers 1 --teacher-nets resnet8 --teachers-run t" + on_s;
    succeed(folder, taught + "--run e");
    refused(taught + "--run f --save ", "t/s0/student.safetensors");
    fs::create_directories(folder / "t/s1");  // whose teacher is not there yet
    refused("ensemble --student resnet8 --train-teachers 2 --teacher-nets resnet8 --teachers-run t" + on_s + "--run f --save ",
            "t/s1/student.safetensors");
    succeed(folder, train_s + "--init resnet8.safetensors --run r");
    refused("train --resume --run r --save ", file);
}

TEST_CASE("bad input: a disk too small for --save's copy fails the command, but the run is whole") {
    const ResnetWorkplace folder;
    const SmallDisk disk(folder / "disk", "size=64k");
    if (!disk) return;
    const Ended end = run(folder, train_s + "--save disk/w.safetensors --run r");
    CHECK(end.code == 1);
    CHECK(says(end.err, {"disk/w.safetensors: cannot be written (No space left on device)"}));
    CHECK_FALSE(fs::exists(folder / "disk/w.safetensors"));
    CHECK(says(run(folder, "train --resume --run r --save w.safetensors").out, {"saved: w.safetensors", "r: finished before, skipped"}));
    CHECK(run(folder, "eval --weights r/student.safetensors --dataset s --batch 32 --threads 1").code == 0);
}

TEST_CASE("bad input: a data set that the memory does not hold is named, with what it takes and what makes it smaller") {
#ifdef __SANITIZE_ADDRESS__
    return skip("the address sanitizer needs more than the limit leaves");
#endif
    const Workplace folder;
    constexpr int64_t images = 1'000'000'000;  // 716 GiB, of which the disk has none
    std::error_code too_large;
    fs::resize_file(folder / "data/s/train.bin", images * kRecord, too_large);
    if (too_large) return skip("no file of 769 GB here: " + too_large.message());
    constexpr int64_t most_kib = int64_t{64} << 20;  // so that no machine tries
    const std::string line =
        text("ulimit -v ", most_kib, " && cd '", folder.path().string(), "' && exec '", program_beside().string(), "' ");
    for (const std::string& command : {std::string("data info --dataset s"), train_s}) {
        const ProgramEnd end = run_program({"sh", "-c", line + command}, "dash", true);
        CHECK(end.code == 1);
        CHECK(end.last_error() == text("distill: data/s/train.bin: its ", images, " images take ",
                                       fixed(images * (kRecord + 3.0) / (1 << 30)),
                                       " GiB (the machine's memory does not hold them); free memory, or import images with a smaller "
                                       "--size, --classes or --limit"));
    }
}

TEST_CASE("bad input: --device cuda without a GPU") {
    const ResnetWorkplace folder;
#ifdef DISTILL_CUDA
    if (cuda_device_count() > 0) {
        skip("there is a GPU");
        return;
    }
#endif
    check_rejected(folder, train_s + "--device cuda", {"--device cuda", "--device cpu"});
    check_rejected(folder, "eval --net resnet8 --dataset s --init resnet8.safetensors --device cuda", {"--device cuda", "--device cpu"});
    check_rejected(folder, "bench train --net resnet8 --device cuda", {"--device cuda", "--device cpu"});
}

TEST_SUITE_END();
