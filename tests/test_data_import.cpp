#include <omp.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base_csv.h"
#include "base_files.h"
#include "complaints.h"
#include "data_image.h"
#include "data_import.h"
#include "data_synth.h"
#include "dataset.h"
#include "dataset_writer.h"
#include "image_files.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// A PPM of one colour: decoded exactly.
void put_ppm(const fs::path& path, int side, int shade) {
    put_file(path, text("P6\n", side, " ", side, "\n255\n") + std::string(size_t(side * side * 3), char(shade)));
}

ImportOptions import_from(const TempFolder& folder, const std::string& kind) {
    ImportOptions options;
    options.kind = kind;
    options.from = folder / "from";
    options.data = folder / "data";
    options.size = 8;
    options.quiet = true;
    return options;
}

/// The import fails with these words, and neither the set nor a part of it nor the data folder is left.
void check_rejected(const ImportOptions& options, const std::vector<std::string>& parts) {
    CHECK(says(complaint([&] { import_dataset(options); }), parts));
    CHECK_FALSE(fs::exists(options.data));
}

/// Two classes, `b` sorted after `a` although written first; three training images and one test image each.
void put_class_folders(const fs::path& from) {
    for (const std::string name : {"b", "a"})
        for (int i = 0; i < 3; ++i) put_ppm(from / "train" / name / text(i, ".ppm"), 8, (name == "a" ? 10 : 100) + i);
    put_ppm(from / "test/a/0.ppm", 8, 50);
    put_ppm(from / "test/b/0.ppm", 8, 60);
}

/// Three classes in the official layout; wnids.txt orders them n3, n1, n2. Two training images each, two validation images of n1.
void put_tiny_imagenet(const fs::path& from) {
    put_file(from / "wnids.txt", "n3\nn1\nn2\n");
    put_file(from / "words.txt", "n0\tother\nn1\tgoldfish, Carassius auratus\nn3\tbullfrog\n");
    for (const std::string wnid : {"n1", "n2", "n3"}) {
        put_file(from / "train" / wnid / (wnid + "_boxes.txt"), "not an image\n");
        for (int i = 0; i < 2; ++i) put_jpeg(from / "train" / wnid / "images" / (wnid + text("_", i, ".JPEG")));
    }
    // The decoder goes by a file's content: PNGs under these names let a check tell one image from another, to the byte.
    for (int i = 0; i < 4; ++i) put_png(from / "val/images" / text("val_", i, ".JPEG"), 16, 16, 3, 10 * i);
    put_file(from / "val/val_annotations.txt",
             "val_0.JPEG\tn1\t0\t1\t2\t3\nval_1.JPEG\tn3\t0\t1\t2\t3\r\nval_2.JPEG\tn1\t0\t1\t2\t3\nval_3.JPEG\tn2\t0\t0\t9\t9\n");
}

std::string big_endian(uint32_t value) { return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)}; }

void put_gzipped(const fs::path& path, const std::string& bytes) {
    fs::create_directories(path.parent_path());
    gzFile file = gzopen(path.c_str(), "wb");
    REQUIRE(file);
    REQUIRE(gzwrite(file, bytes.data(), unsigned(bytes.size())) == int(bytes.size()));
    gzclose(file);
}

/// Fashion-MNIST's files with images of one grey value each: 7 * label + 1.
void put_fashion(const fs::path& from, const std::string& labels) {
    std::string images, digits;
    for (const char label : labels) images += std::string(784, char(7 * (label - '0') + 1)), digits += char(label - '0');
    for (const std::string part : {"train", "t10k"}) {
        put_gzipped(from / (part + "-images-idx3-ubyte.gz"),
                    big_endian(0x803) + big_endian(uint32_t(labels.size())) + big_endian(28) + big_endian(28) + images);
        put_gzipped(from / (part + "-labels-idx1-ubyte.gz"), big_endian(0x801) + big_endian(uint32_t(labels.size())) + digits);
    }
}

}  // namespace

TEST_CASE("data import images: sorted classes, mixed training order, meta.csv and classes.csv") {
    const TempFolder folder;
    put_class_folders(folder / "from");
    put_file(folder / "from/train/a/.hidden", "not seen");
    import_dataset(import_from(folder, "images"));
    const Dataset d = load_dataset(folder / "data", "images");
    CHECK(d.classes == 2);
    CHECK(d.height == 8);
    CHECK(d.train.records == 6);
    CHECK(d.test.labels == std::vector<int32_t>{0, 1});
    CHECK(d.test.pixels[0] == 50);
    CHECK(d.test.pixels[192] == 60);
    CHECK_FALSE(std::is_sorted(d.train.labels.begin(), d.train.labels.end()));  // --shuffle off must see mixed classes
    std::vector<int> shades;
    for (int64_t i = 0; i < 6; ++i) {
        shades.push_back(d.train.pixels[size_t(i) * 192]);
        CHECK(d.train.labels[size_t(i)] == (shades.back() >= 100));
    }
    std::sort(shades.begin(), shades.end());
    CHECK(shades == std::vector<int>{10, 11, 12, 100, 101, 102});
    CHECK(d.stats.mean[0] == doctest::Approx(56).epsilon(1e-6));
    const CsvTable classes = read_csv(folder / "data/images/classes.csv");
    CHECK(classes.cell(0, "name") == "a");
    CHECK(classes.cell(1, "label") == "1");
    CHECK(std::distance(fs::directory_iterator(folder / "data"), {}) == 1);  // no partial folder beside it
}

TEST_CASE("data import images: --classes, --limit, val/ in place of test/, other sizes") {
    const TempFolder folder;
    put_class_folders(folder / "from");
    fs::rename(folder / "from/test", folder / "from/val");
    ImportOptions options = import_from(folder, "images");
    options.dataset = "one";
    options.classes = 1;
    options.limit = 2;
    options.size = 3;
    import_dataset(options);
    const Dataset d = load_dataset(folder / "data", "one");
    CHECK(d.classes == 1);
    CHECK(d.train.records == 2);
    CHECK(d.test.records == 1);
    CHECK(d.test.pixels == std::vector<uint8_t>(27, 50));
    options.classes = 3;
    options.dataset = "three";
    CHECK(says(complaint([&] { import_dataset(options); }), {"--classes", "found 3", "at most 2"}));
}

TEST_CASE("data import images: what is wrong with a tree is said, and nothing is left") {
    const TempFolder folder;
    const fs::path from = folder / "from";
    ImportOptions options = import_from(folder, "images");
    check_rejected(options, {(from / "train").string(), "cannot be listed", "one folder a class"});
    put_class_folders(from);

    fs::create_directories(from / "train/c");
    check_rejected(options, {(from / "train/c").string(), "found no image"});
    fs::remove(from / "train/c");
    put_ppm(from / "test/c/0.ppm", 8, 1);
    check_rejected(options, {(from / "test/c").string(), "does not have"});
    fs::remove_all(from / "test/c");
    fs::create_directories(from / "train/a/deeper");
    check_rejected(options, {"deeper", "is no file"});
    fs::remove(from / "train/a/deeper");

    put_file(from / "train/b/z.jpg", "this is text, not an image");
    check_rejected(options, {"z.jpg", "cannot be decoded", "unknown image type"});
    put_jpeg(from / "train/b/z.jpg");
    const std::string whole = read_file(from / "train/b/z.jpg");
    put_file(from / "train/b/z.jpg", whole.substr(0, whole.size() / 2));
    check_rejected(options, {"z.jpg", text("where the file ends: byte ", whole.size() / 2)});
    put_file(from / "train/b/z.jpg", "");
    check_rejected(options, {"z.jpg", "cannot be decoded", "byte 0"});
    put_file(from / "train/b/z.jpg", whole);

    options.size = 0;
    check_rejected(options, {"--size is missing"});
    options.size = 8;
    options.kind = "pictures";
    check_rejected(options, {"'pictures'", "tiny-imagenet, images or fashion-mnist"});
    options.kind = "images";
    options.from = "";
    check_rejected(options, {"--from is missing"});
    options.from = from;
    import_dataset(options);
    CHECK(load_dataset(folder / "data", "images").train.records == 7);
}

TEST_CASE("data import: a set that exists stays, unless forced; a kill's leftovers go") {
    const TempFolder folder;
    put_class_folders(folder / "from");
    ImportOptions options = import_from(folder, "images");
    put_file(folder / "data/.images.partial-Ab12Cd/train.bin", "half");
    put_file(folder / "data/.images.partial-Ab12Cd.lock", "");
    import_dataset(options);
    CHECK_FALSE(fs::exists(folder / "data/.images.partial-Ab12Cd"));
    const std::string before = read_file(folder / "data/images/meta.csv");
    put_ppm(folder / "from/train/a/9.ppm", 8, 9);
    CHECK(says(complaint([&] { import_dataset(options); }), {"images", "exists already", "--force"}));
    CHECK(read_file(folder / "data/images/meta.csv") == before);
    options.force = true;
    put_file(folder / "from/train/a/9.ppm", "broken");
    CHECK(says(complaint([&] { import_dataset(options); }), {"9.ppm"}));
    CHECK(read_file(folder / "data/images/meta.csv") == before);  // a forced import that fails keeps the old set
    put_ppm(folder / "from/train/a/9.ppm", 8, 9);
    import_dataset(options);
    CHECK(load_dataset(folder / "data", "images").train.records == 7);
    CHECK(std::distance(fs::directory_iterator(folder / "data"), {}) == 1);

    const fs::path mine = folder / "data/images/mine.txt";
    {
        DatasetWriter writer(folder / "data", "images", 8, 8, {ClassName{"a", ""}}, true);
        const std::vector<uint8_t> record(writer.record_size(), 0);
        for (const auto part : {DatasetWriter::train, DatasetWriter::test}) writer.append(part, record.data(), 1);
        put_file(mine, "came meanwhile");
        CHECK(says(complaint([&] { writer.finish(); }), {mine.string(), "is no file of a data set"}));
    }
    CHECK(read_file(mine) == "came meanwhile");
    CHECK(load_dataset(folder / "data", "images").train.records == 7);
    CHECK(std::distance(fs::directory_iterator(folder / "data"), {}) == 1);

    put_file(folder / "data/precious/thesis.tex", "…");
    options.dataset = "precious";
    CHECK(says(complaint([&] { import_dataset(options); }), {"precious", "no data set"}));
    CHECK(fs::exists(folder / "data/precious/thesis.tex"));
}

TEST_CASE("data import: more than 256 classes do not fit a label") {
    const TempFolder folder;
    for (int i = 0; i < 257; ++i)
        for (const std::string part : {"train", "test"}) put_ppm(folder / "from" / part / text("class", i) / "0.ppm", 2, i % 256);
    ImportOptions options = import_from(folder, "images");
    check_rejected(options, {"257 classes", "1 to 256"});
    options.classes = 256;
    import_dataset(options);
    CHECK(load_dataset(folder / "data", "images").test.labels.back() == 255);
}

TEST_CASE("data import tiny-imagenet: classes by wnids.txt, test labels by val_annotations.txt") {
    const TempFolder folder;
    put_tiny_imagenet(folder / "from");
    ImportOptions options = import_from(folder, "tiny-imagenet");
    options.size = 16;
    import_dataset(options);
    const Dataset d = load_dataset(folder / "data", "tiny-imagenet");
    CHECK(d.classes == 3);
    CHECK(d.train.records == 6);
    CHECK(d.test.labels == std::vector<int32_t>{1, 0, 1, 2});
    const Image third = load_image(folder / "from/val/images/val_2.JPEG");
    CHECK(third.pixels[17 * 3 + 1] == 20 + 3 + 5 + 40);
    CHECK(d.test.pixels[2 * 768 + 256 + 17] == third.pixels[17 * 3 + 1]);  // record 2, green, row 1, column 1
    const CsvTable classes = read_csv(folder / "data/tiny-imagenet/classes.csv");
    CHECK(classes.cell(1, "name") == "n1");
    CHECK(classes.cell(1, "words") == "goldfish, Carassius auratus");
    CHECK(classes.cell(2, "words") == "");

    options.dataset = "two";
    options.classes = 2;
    options.limit = 1;
    import_dataset(options);
    const Dataset two = load_dataset(folder / "data", "two");
    CHECK(two.train.records == 2);
    CHECK(two.test.labels == std::vector<int32_t>{1, 0});
}

TEST_CASE("data import tiny-imagenet: 64 is the size where none is given") {
    const TempFolder folder;
    put_tiny_imagenet(folder / "from");
    ImportOptions options = import_from(folder, "tiny-imagenet");
    options.size = 0;
    import_dataset(options);
    CHECK(load_dataset(folder / "data", "tiny-imagenet").width == 64);
}

TEST_CASE("data import tiny-imagenet: what is wrong with the tree is said, and nothing is left") {
    const TempFolder folder;
    const fs::path from = folder / "from", notes = from / "val/val_annotations.txt";
    const ImportOptions options = import_from(folder, "tiny-imagenet");
    check_rejected(options, {"wnids.txt", "is missing", "data fetch tiny-imagenet"});
    put_tiny_imagenet(from);
    const std::string annotations = read_file(notes);

    fs::remove(notes);
    check_rejected(options, {"val_annotations.txt", "is missing"});
    put_file(notes, annotations + "val_0.JPEG\tn9\t0\t0\t1\t1\n");
    check_rejected(options, {"val_annotations.txt", "line 5", "unknown class 'n9'", "wnids.txt"});
    put_file(notes, annotations + "val_0.JPEG n1\n");
    check_rejected(options, {"val_annotations.txt", "line 5", "val_0.JPEG n1"});
    put_file(notes, annotations + "val_7.JPEG\tn1\t0\t0\t1\t1\n");
    check_rejected(options, {"val_7.JPEG", "cannot be read"});
    put_file(notes, "");
    check_rejected(options, {"no test images"});
    put_file(notes, annotations);

    put_file(from / "wnids.txt", "n3\nn1\nn3\n");
    check_rejected(options, {"wnids.txt", "line 3", "'n3'"});
    put_file(from / "wnids.txt", "n3\nn1\nn2\nn4\n");
    check_rejected(options, {"n4", "cannot be listed"});
    fs::create_directories(from / "train/n4/images");
    check_rejected(options, {"n4", "found no image"});
    put_file(from / "wnids.txt", "");
    check_rejected(options, {"wnids.txt", "is empty"});
}

TEST_CASE("data import fashion-mnist: padded to 32, three equal channels, first classes and limit") {
    const TempFolder folder;
    put_fashion(folder / "from", "9071900");
    ImportOptions options = import_from(folder, "fashion-mnist");
    options.size = 0;
    import_dataset(options);
    const Dataset d = load_dataset(folder / "data", "fashion-mnist");
    CHECK(d.height == 32);
    CHECK(d.classes == 10);
    CHECK(d.test.labels == std::vector<int32_t>{9, 0, 7, 1, 9, 0, 0});
    for (int c = 0; c < 3; ++c) {
        const uint8_t* plane = &d.test.pixels[size_t(c) * 1024];
        CHECK(plane[1 * 32 + 16] == 0);  // two rows and columns of zeros around
        CHECK(plane[16 * 32 + 1] == 0);
        CHECK(plane[2 * 32 + 2] == 64);
        CHECK(plane[29 * 32 + 29] == 64);
        CHECK(plane[30 * 32 + 29] == 0);
    }
    CHECK(read_csv(folder / "data/fashion-mnist/classes.csv").cell(9, "name") == "Ankle boot");

    options.dataset = "few";
    options.classes = 8;
    options.limit = 2;
    options.size = 16;
    import_dataset(options);
    const Dataset few = load_dataset(folder / "data", "few");
    CHECK(few.test.labels == std::vector<int32_t>{0, 7, 1, 0});
    CHECK(few.test.pixels[0] == 0);
    CHECK(few.test.pixels[1 * 16 + 1] == 1);
}

TEST_CASE("data import fashion-mnist: broken idx files are named") {
    const TempFolder folder;
    const fs::path from = folder / "from", images = from / "train-images-idx3-ubyte.gz", labels = from / "train-labels-idx1-ubyte.gz";
    const ImportOptions options = import_from(folder, "fashion-mnist");
    check_rejected(options, {"train-images-idx3-ubyte.gz", "is missing", "dataset-fashion-mnist"});
    put_fashion(from, "0123");
    const std::string whole = read_file(images), head = big_endian(0x803) + big_endian(4) + big_endian(28) + big_endian(28);
    put_file(images, whole.substr(0, whole.size() / 2));
    check_rejected(options, {"train-images", "truncated"});
    put_gzipped(images, big_endian(0x801));
    check_rejected(options, {"train-images", "byte 0", "found magic number 2049", "expected 2051"});
    put_gzipped(images, big_endian(0x803) + big_endian(4) + big_endian(28) + big_endian(32));
    check_rejected(options, {"train-images", "byte 12", "found size 32", "expected 28"});
    put_gzipped(images, head + std::string(4 * 784 - 1, 'x'));
    check_rejected(options, {"train-images", "truncated"});
    put_gzipped(images, head + std::string(4 * 784 + 1, 'x'));
    check_rejected(options, {"train-images", "goes on after"});
    put_file(images, whole);
    put_gzipped(labels, big_endian(0x801) + big_endian(3) + std::string(3, '\1'));
    check_rejected(options, {"train-labels", "found 3 labels", "expected 4"});
    put_gzipped(labels, big_endian(0x801) + big_endian(4) + std::string("\1\2\12\1"));
    check_rejected(options, {"train-labels", "record 2", "byte 10", "found label 10"});
}

TEST_CASE("data import: threads change nothing, and every import has the same order") {
    const TempFolder folder;
    for (int i = 0; i < 40; ++i) put_png(folder / "from/train" / text("c", i % 4) / text(i, ".png"), 12, 20, 3, 5 * i);
    for (int i = 0; i < 4; ++i) put_png(folder / "from/test" / text("c", i) / "0.png", 12, 20, 3, i);
    ImportOptions options = import_from(folder, "images");
    import_dataset(options);
    const std::string first = read_file(folder / "data/images/train.bin");
    CHECK(first.size() == 40 * 193);
    options.force = true;
    const int threads = omp_get_max_threads();
    for (const int n : {1, 3}) {
        omp_set_num_threads(n);
        import_dataset(options);
        CHECK(read_file(folder / "data/images/train.bin") == first);
    }
    omp_set_num_threads(threads);
}

TEST_CASE("data import: a disk that fills up is reported and leaves nothing") {
    const TempFolder folder;
    SynthOptions options;
    options.train = 400;  // 1.2 MB
    SUBCASE("a limit on the size of files stands in for the disk") {
        rlimit before;
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
        const auto handler = ::signal(SIGXFSZ, SIG_IGN);
        const rlimit small = {300000, before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
        const std::string message = complaint<WriteError>([&] { synthesize(folder / "data", options); });
        ::setrlimit(RLIMIT_FSIZE, &before);
        ::signal(SIGXFSZ, handler);
        CHECK(says(message, {"train.bin", "cannot be written (File too large)"}));
        CHECK_FALSE(fs::exists(folder / "data"));
    }
    SUBCASE("a small file system") {
        fs::create_directory(folder / "disk");
        if (::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", 0, "size=512k") != 0) {
            skip(std::string("a file system cannot be mounted: ") + std::strerror(errno));
            return;
        }
        const std::string message = complaint<WriteError>([&] { synthesize(folder / "disk", options); });
        const bool empty = fs::is_empty(folder / "disk");
        ::umount((folder / "disk").c_str());
        CHECK(says(message, {"train.bin", "No space left on device"}));
        CHECK(empty);
    }
}

TEST_SUITE_END();
