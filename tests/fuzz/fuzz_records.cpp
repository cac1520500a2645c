// Binary records with their meta.csv. First byte: which data set; whether true counts and checksums follow what the input's meta.csv says.
#include <algorithm>
#include <cstdlib>

#include "base_error.h"
#include "dataset.h"
#include "dataset_writer.h"
#include "fuzz.h"

namespace distill::fuzz {
namespace {

struct Kind {
    const char *name, *folder;
};
constexpr Kind kinds[] = {{"shapes", "shapes"}, {"cifar10", "cifar-10-batches-bin"}, {"cifar100", "cifar-100-binary"}};
constexpr char vouched = 4;

int64_t side_in(const std::string& meta, const std::string& key) {
    const size_t at = meta.rfind("\n" + key + ",");
    return at == std::string::npos ? 0 : std::clamp(std::atoll(meta.c_str() + at + key.size() + 2), 0ll, 4096ll);
}

/// So that the records themselves are reached: what comes last in meta.csv counts.
std::string vouched_for(const std::string& meta, const std::string& train, const std::string& test) {
    const int64_t size = 1 + 3 * side_in(meta, "height") * side_in(meta, "width");
    const auto records = [&](const std::string& file) { return static_cast<int64_t>(file.size()) / size; };
    return text(meta, "\nrecords_train,", records(train), "\nrecords_test,", records(test), "\nsha256_train,", sha256_hex(train),
                "\nsha256_test,", sha256_hex(test), "\n");
}

void require_same_when_written(const Dataset& d) {
    std::vector<ClassName> classes;
    for (int i = 0; i < d.classes; ++i) classes.push_back({text("class", i), ""});
    {
        DatasetWriter writer(folder(), "copy", d.height, d.width, classes, true);
        for (const auto& [part, split] : {std::pair(DatasetWriter::train, &d.train), std::pair(DatasetWriter::test, &d.test)})
            for (size_t i = 0; i < size_t(split->records); ++i) {
                const size_t pixels = writer.record_size() - 1;
                std::vector<uint8_t> record(1, uint8_t(split->labels[i]));
                record.insert(record.end(), &split->pixels[i * pixels], &split->pixels[i * pixels] + pixels);
                writer.append(part, record.data(), 1);
            }
        writer.finish();
    }
    const Dataset copy = load_dataset(folder(), "copy");
    require(copy.height == d.height && copy.width == d.width && copy.classes == d.classes, "a written set has the same shape");
    require(copy.train.pixels == d.train.pixels && copy.test.pixels == d.test.pixels, "a written set has the same pixels");
    require(copy.train.labels == d.train.labels && copy.test.labels == d.test.labels, "a written set has the same labels");
}

}  // namespace

std::vector<std::string> seeds() {
    const std::string shape = "key,value\nheight,1\nwidth,2\nclasses,3",
                      stats = "\nmean_red,1\nmean_green,2\nmean_blue,3\nstd_red,4\nstd_green,5\nstd_blue,6";
    const std::string records{"\0abcdef\2ghijkl", 14};
    return {std::string(1, vouched) + joined_parts({shape + stats, records, records}),
            std::string(1, 0) + joined_parts({vouched_for(shape + stats, records, records), records, records}),
            std::string(1, vouched | 1) + joined_parts({"key,value\nclasses,10\n", std::string(3073, '\1'), std::string(3073, '\2')}),
            std::string(1, 2) + joined_parts({"", std::string(3074, '\3'), std::string(3074, '\4')})};
}

void parse(const std::string& bytes) {
    if (bytes.empty()) return;
    const Kind& kind = kinds[(bytes[0] & 3) % 3];
    const std::vector<std::string> parts = parts_of(bytes.substr(1), 3);
    fs::create_directories(folder() / kind.folder);
    const auto put = [&](const char* name, const std::string& content) {
        file_of(content, (std::string(kind.folder) + "/" + name).c_str());
    };
    put("train.bin", parts[1]);
    put("test.bin", parts[2]);
    if (parts[0].empty())
        fs::remove(folder() / kind.folder / "meta.csv");
    else
        put("meta.csv", bytes[0] & vouched ? vouched_for(parts[0], parts[1], parts[2]) : parts[0]);
    require_same_when_written(load_dataset(folder(), kind.name));
}

}  // namespace distill::fuzz
