// What `data import images` says of a tree as users have them: all that is broken in one go, what is done to images, splits, twins.
#include <algorithm>
#include <map>
#include <set>

#include "base_csv.h"
#include "base_files.h"
#include "base_subprocess.h"
#include "command.h"
#include "complaints.h"
#include "data_import.h"
#include "dataset.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

void put_grey(const fs::path& path, int grey) { put_file(path, "P5 4 4 255\n" + std::string(16, static_cast<char>(grey))); }

/// Two classes, three training images and one test image each, all different.
void put_tree(const fs::path& from) {
    int grey = 10;
    for (const char* name : {"cat", "dog"}) {
        for (int i = 0; i < 3; ++i) put_grey(from / "train" / name / text(i, ".pgm"), grey += 10);
        put_grey(from / "test" / name / "0.pgm", grey += 10);
    }
}

const std::string import_line = "data import images --from from --dataset s --size 4 ";

std::string imported(const TempFolder& folder, const std::string& more = "") {
    const Ended end = run(folder, import_line + "--force " + more);
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    return end.out;
}

/// How often each grey value (of an image's first pixel) is there, by label.
std::multiset<std::pair<int, int>> greys(const Split& part) {
    std::multiset<std::pair<int, int>> all;
    for (size_t i = 0; i < static_cast<size_t>(part.records); ++i) all.insert({part.labels[i], part.pixels[i * 48]});
    return all;
}

}  // namespace

TEST_CASE("data import findings: every image that cannot be used is named in one go") {
    const TempFolder folder;
    put_tree(folder / "from");
    put_file(folder / "from/train/dog/b.jpg", "text");
    put_file(folder / "from/train/cat/a.png", "\x89PNG\r\n\x1a\n");
    put_file(folder / "from/test/cat/c.pgm", "P5 4 4 0\n");
    check_rejected(folder, import_line + "--quiet",
                   {"3 images cannot be used: from/test/cat/c.pgm (PNM header", "; from/train/cat/a.png (truncated",
                    "; from/train/dog/b.jpg (unknown image type)", "replace or remove them"});
}

TEST_CASE("data import findings: images that the machine fails to read are not told to be replaced") {
    const TempFolder folder;
    put_tree(folder / "from");
    const std::string import = "' && exec '" + program_beside().string() + "' " + import_line + "--quiet";
    bool met = false;  // that there are handles for the set's files, and none for an image
    for (int handles = 4; handles < 64 && !met; ++handles) {
        const std::string line = text("ulimit -n ", handles, " && cd '", folder.path().string(), import);
        const ProgramEnd end = run_program({"sh", "-c", line}, "dash", true);
        CAPTURE(end.errors);
        CHECK(end.errors.find("cannot be used") == std::string::npos);
        met = end.errors.find(".pgm: cannot be read (Too many open files)") != std::string::npos;
        if (met) CHECK(end.code == 1);
        fs::remove_all(folder / "data");  // which is left where there are no handles to remove it by
    }
    CHECK(met);
}

TEST_CASE("data import findings: what desktops leave in folders is no image") {
    const TempFolder folder;
    put_tree(folder / "from");
    for (const char* left : {"train/cat/Thumbs.db", "train/dog/desktop.ini", "test/cat/.DS_Store", "test/dog/THUMBS.DB",
                             "train/__MACOSX/x.jpg", "test/__MACOSX/._x.jpg", "train/cat/__MACOSX/._0.pgm", "train/cat/._0.pgm"})
        put_file(folder / "from" / left, "no image");
    imported(folder);
    const Dataset d = load_dataset(folder / "data", "s");
    CHECK(d.classes == 2);
    CHECK(d.train.records == 6);
    CHECK(d.test.records == 2);
}

TEST_CASE("data import findings: turned and transparent images are counted") {
    const TempFolder folder;
    put_tree(folder / "from");
    CHECK(imported(folder).find("note: ") == std::string::npos);
    const std::string jpeg = read_file(golden("gradient.jpg")), exif = std::string(
                                                                    "\xFF\xE1\0\x22"
                                                                    "Exif\0\0"
                                                                    "MM\0*\0\0\0\x08"
                                                                    "\0\x01"
                                                                    "\x01\x12\0\x03\0\0\0\x01\0\x03\0\0"
                                                                    "\0\0\0\0",
                                                                    36);
    put_file(folder / "from/train/cat/photo.jpg", jpeg.substr(0, 2) + exif + jpeg.substr(2));
    put_file(folder / "from/train/dog/photo.jpg", jpeg);
    // A 1x1 bitmap of 32 bits, half transparent.
    put_file(folder / "from/train/dog/cut.bmp",
             std::string("BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x20\0\0\0\0\0\x04\0\0\0", 38) +
                 std::string(16, '\0') + std::string("\x03\x02\x01\x80", 4));
    const std::string out = imported(folder);
    CHECK(says(out, {"note: 1 images were turned or mirrored as their EXIF orientation asks",
                     "note: 1 images have transparent pixels: the transparency is ignored"}));
    CHECK(imported(folder, "--quiet").empty());
}

TEST_CASE("data import findings: the test part may be called val, valid or validation; test comes first") {
    const TempFolder folder;
    put_tree(folder / "from");
    for (const char* name : {"valid", "validation", "val"}) {
        fs::rename(folder / "from/test", folder / "from" / name);
        CHECK(imported(folder).find(" is not read") == std::string::npos);
        CHECK(load_dataset(folder / "data", "s").test.records == 2);
        fs::rename(folder / "from" / name, folder / "from/test");
    }
    put_grey(folder / "from/valid/cat/0.pgm", 250);
    CHECK(says(imported(folder), {"note: from/valid is not read: the test images are those of from/test"}));
    CHECK(load_dataset(folder / "data", "s").test.records == 2);
}

TEST_CASE("data import findings: a folder test without class folders has no labels, and is not the test part") {
    const TempFolder folder;
    put_tree(folder / "from");
    fs::rename(folder / "from/test", folder / "from/val");
    put_grey(folder / "from/test/0.pgm", 250);
    for (const char* left : {"", ".ipynb_checkpoints/0.pgm", "__MACOSX/._0.pgm"}) {  // a desktop's folders are no classes
        if (*left) put_grey(folder / "from/test" / left, 250);
        CHECK(says(imported(folder), {"note: from/test is not read: it has no class folders"}));
        CHECK(load_dataset(folder / "data", "s").test.records == 2);
    }
    fs::remove_all(folder / "from/val");
    check_rejected(folder, import_line + "--force", {"found no test part"});
    imported(folder, "--test-part 0.4");
    CHECK(load_dataset(folder / "data", "s").test.records == 2);
    // Nor a class, where the tree's own folders are these.
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / "from/train"))
        fs::rename(entry.path(), folder / "from" / entry.path().filename());
    fs::remove(folder / "from/train");
    put_grey(folder / "from/loose.pgm", 3);
    CHECK(says(imported(folder, "--test-part 0.4"),
               {"note: from/test is not read", "note: 1 file beside the class folders of from not read"}));
    CHECK(load_dataset(folder / "data", "s").classes == 2);
}

TEST_CASE("data import findings: a tree without a test part is split by class, always the same way") {
    const TempFolder folder;
    for (int i = 0; i < 10; ++i) put_grey(folder / "from/cat" / text(i, ".pgm"), 10 + i);
    for (int i = 0; i < 4; ++i) put_grey(folder / "from/dog" / text(i, ".pgm"), 30 + i);
    put_grey(folder / "from/emu/0.pgm", 50);
    put_file(folder / "from/README.txt", "no class");
    check_rejected(folder, import_line, {"from/train: cannot be listed", "--test-part 0.2"});
    CHECK(run(folder, import_line + "--test-part 0").code == 2);
    for (const char* part : {"1", "-1", "nan"})
        check_rejected(folder, import_line + "--test-part " + part, {text("--test-part: found ", part), "above 0 and below 1"});
    check_rejected(folder, "data import tiny-imagenet --from from --test-part 0.2",
                   {"--test-part 0.2", "tiny-imagenet has a test part already"});

    CHECK(says(imported(folder, "--test-part 0.2"), {"warning: the test part has no image of: emu", "12 training and 3 test images"}));
    const Dataset d = load_dataset(folder / "data", "s");
    CHECK(std::count(d.test.labels.begin(), d.test.labels.end(), 0) == 2);
    CHECK(std::count(d.test.labels.begin(), d.test.labels.end(), 1) == 1);
    std::multiset<std::pair<int, int>> all = greys(d.train), expected{{2, 50}};
    all.merge(greys(d.test));
    for (int i = 0; i < 10; ++i) expected.insert({0, 10 + i});
    for (int i = 0; i < 4; ++i) expected.insert({1, 30 + i});
    CHECK(all == expected);  // every image once, under its class

    fs::create_directory(folder / "in");
    fs::rename(folder / "from", folder / "in/train");
    fs::rename(folder / "in", folder / "from");  // now FROM/train/<class>/*
    check_rejected(folder, import_line + "--force", {"from: found no test part", "val/", "--test-part 0.2"});
    imported(folder, "--test-part 0.2");
    CHECK(load_dataset(folder / "data", "s").test.pixels == d.test.pixels);
    put_grey(folder / "from/val/cat/0.pgm", 60);
    check_rejected(folder, import_line + "--force --test-part 0.2", {"--test-part 0.2", "from/val is the test part already"});
}

TEST_CASE("data import findings: a class without a test image is named") {
    const TempFolder folder;
    put_tree(folder / "from");
    fs::remove(folder / "from/test/dog/0.pgm");
    CHECK(says(imported(folder), {"warning: the test part has no image of: dog"}));
    fs::remove(folder / "from/test/dog");
    CHECK(says(imported(folder), {"warning: the test part has no image of: dog"}));
    CHECK(load_dataset(folder / "data", "s").test.records == 1);
}

TEST_CASE("data import findings: identical images in both parts or under two labels are counted, here and by data info") {
    const TempFolder folder;
    put_tree(folder / "from");
    CHECK(imported(folder).find("warning") == std::string::npos);
    const auto info = [&] {
        put_file(folder / "info.csv", run(folder, "data info --dataset s --csv").out);
        std::map<std::string, std::string> rows;
        const CsvTable table = read_csv(folder / "info.csv");
        for (size_t i = 0; i < table.rows.size(); ++i) rows[table.cell(i, "key")] = table.cell(i, "value");
        return rows;
    };
    CHECK(info()["test_in_train"] == "0");
    CHECK(info()["two_labels"] == "0");

    put_grey(folder / "from/test/cat/again.pgm", 20);  // train/cat/0
    put_grey(folder / "from/test/cat/once-more.pgm", 20);
    put_grey(folder / "from/train/dog/cat.pgm", 30);     // train/cat/1
    put_grey(folder / "from/train/dog/twice.pgm", 200);  // twice in one class of one part: no harm
    put_grey(folder / "from/train/dog/twice-2.pgm", 200);
    const std::vector<std::string> lines = {"warning: 2 of the test images are among the training images",
                                            "warning: 1 images stand under more than one label"};
    CHECK(says(imported(folder), lines));
    auto rows = info();
    CHECK(rows["test_in_train"] == "2");
    CHECK(rows["two_labels"] == "1");
    CHECK(rows["train_0_cat"] == "3");
    CHECK(rows["train_1_dog"] == "6");
    CHECK(rows["test_0_cat"] == "3");
    const std::string seen = run(folder, "data info --dataset s").out;
    CHECK(says(seen, lines));
    CHECK(says(seen, {"label  name  train  test", "    0  cat       3     3", "    1  dog       6     1"}));
}

TEST_CASE("data import findings: --force replaces a data set and nothing else; neither a user's files nor the images that are read go") {
    const TempFolder folder;
    put_tree(folder / "from");
    imported(folder);
    put_grey(folder / "data/s/keep/x.pgm", 5);
    for (const std::string& line : {import_line + "--force", std::string("data synth --dataset s --force")})
        check_rejected(folder, line, {"data/s/keep: is no file of a data set, and --force would remove it; move it away"});
    fs::remove_all(folder / "data/s/keep");

    const std::string of = "data import images --size 4 --force ";
    put_tree(folder / "data/s/raw");
    fs::create_directory_symlink("data/s/raw", folder / "images");
    for (const std::string from : {"data/s/raw", "./data/../data/s/raw/", "images"})
        check_rejected(folder, of + "--dataset s --from " + from, {"--from " + from + ": lies in data/s, which --force would remove"});
    fs::remove_all(folder / "data/s/raw");

    // Images that have a table of their author's beside them.
    const fs::path meta = folder / "data/flowers/meta.csv";
    put_tree(folder / "data/flowers");
    put_file(meta, "file,author\n0.pgm,me\n");
    check_rejected(folder, of + "--dataset flowers --from data/flowers", {"--from data/flowers: lies in data/flowers"});
    check_rejected(folder, of + "--dataset flowers --from from",
                   {"data/flowers/meta.csv: line 1: found 'file,author', expected 'key,value'", "no data set of this program's"});
    put_file(meta, "key,value\n");
    check_rejected(folder, of + "--dataset flowers --from from", {"data/flowers/test: is no file of a data set"});

    put_file(folder / "data/s/meta.csv", "key,value\n");  // damaged, but a set's
    imported(folder);
    CHECK(load_dataset(folder / "data", "s").train.records == 6);
}

TEST_CASE("data import findings: a class whose name others cannot read is refused") {
    const TempFolder folder;
    put_tree(folder / "from");
    for (const auto& [name, shown] : {std::pair<const char*, const char*>{"caf\xe9", "caf\\xE9"}, {"two\nlines", "two\\x0Alines"}}) {
        for (const char* part : {"train", "test"}) fs::rename(folder / "from" / part / "dog", folder / "from" / part / name);
        check_rejected(folder, import_line, {"from/train: found the class name", shown, "printable UTF-8"});
        for (const char* part : {"train", "test"}) fs::rename(folder / "from" / part / name, folder / "from" / part / "dog");
    }
    for (const char* part : {"train", "test"}) fs::rename(folder / "from" / part / "dog", folder / "from" / part / "caf\xc3\xa9");
    imported(folder);
    CHECK(read_csv(folder / "data/s/classes.csv").cell(0, "name") == "caf\xc3\xa9");

    const Ended bad = run(folder, "data import images --size 4 --from no\xff\x1b[31mwhere");
    CHECK(bad.code == 2);
    CHECK(says(bad.err, {"no\\xFF\\x1B[31mwhere/train: cannot be listed"}));
}

TEST_CASE("data import findings: Tiny-ImageNet's words are made UTF-8, its ids must be") {
    const TempFolder folder;
    for (const char* wnid : {"n1", "n2"}) put_grey(folder / "from/train" / wnid / "images/0.pgm", 10);
    put_grey(folder / "from/val/images/0.pgm", 20);
    put_file(folder / "from/val/val_annotations.txt", "0.pgm\tn1\n");
    put_file(folder / "from/wnids.txt", "n1\nn2\n");
    put_file(folder / "from/words.txt", "n1\tcaf\xe9 au lait\n");
    const std::string line = "data import tiny-imagenet --from from --dataset s --size 4";
    const Ended end = run(folder, line);
    CHECK(end.code == 0);
    CHECK(says(end.out, {"the test part has no image of: n2"}));
    CHECK(read_csv(folder / "data/s/classes.csv").cell(0, "words") == "caf\uFFFD au lait");
    put_file(folder / "from/wnids.txt", "n1\nn\xff\n");
    check_rejected(folder, line + " --force", {"from/wnids.txt: line 2: found the class name 'n\\xFF'"});
}

TEST_SUITE_END();
