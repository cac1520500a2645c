#include "data_import.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <numeric>
#include <random>
#include <vector>

#include "dataset_writer.h"
#include "error.h"
#include "import_sources.h"

namespace distill {
namespace {

constexpr size_t kChunk = 512;           // images in memory at once
constexpr uint64_t kTrainOrderSeed = 1;  // of the training records' order: the same for every import

/// "images 1234/5678, 2100 img/s, 2 s left": one line, rewritten, on a terminal; a line every tenth in a pipe.
class Progress {
  public:
    Progress(size_t total, bool quiet) : total_(total), quiet_(quiet) {}
    ~Progress() {  // an error's line must not continue this one
        if (!quiet_ && terminal_ && done_ > 0 && done_ < total_) std::printf("\n");
    }

    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

    void advance(size_t images) {
        done_ += images;
        const bool tenth = done_ * 10 / total_ != (done_ - images) * 10 / total_;
        if (quiet_ || !(terminal_ || tenth)) return;
        const double rate = double(done_) / std::max(seconds(), 1e-3);
        std::printf("%simages %zu/%zu, %.0f img/s, %.0f s left%s", terminal_ ? "\r" : "", done_, total_, rate,
                    double(total_ - done_) / rate, terminal_ ? "   " : "\n");
        if (terminal_ && done_ == total_) std::printf("\n");
        std::fflush(stdout);
    }

  private:
    size_t total_, done_ = 0;
    bool quiet_, terminal_ = ::isatty(STDOUT_FILENO);
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<size_t> file_order(size_t records) {
    std::vector<size_t> order(records);
    std::iota(order.begin(), order.end(), size_t{0});
    return order;
}

/// Fisher-Yates with an engine that the C++ standard fixes (std::shuffle's draws are the library's own).
std::vector<size_t> mixed_order(size_t records) {
    std::vector<size_t> order = file_order(records);
    std::mt19937_64 engine(kTrainOrderSeed);
    for (size_t i = records; i > 1; --i) std::swap(order[i - 1], order[engine() % i]);
    return order;
}

void write_part(DatasetWriter& writer, DatasetWriter::Part into, const ImportPart& part, const std::vector<size_t>& order,
                Progress& progress) {
    std::vector<uint8_t> records(kChunk * writer.record_size());
    for (size_t begin = 0; begin < order.size(); begin += kChunk) {
        const size_t count = std::min(kChunk, order.size() - begin);
        std::exception_ptr error;
        size_t failed = count;  // of several bad images the first is reported, whichever thread met it
#pragma omp parallel for schedule(dynamic, 4)
        for (size_t i = 0; i < count; ++i) {
            uint8_t* const record = &records[i * writer.record_size()];
            try {
                record[0] = uint8_t(part.labels[order[begin + i]]);
                part.draw(order[begin + i], record + 1);
            } catch (...) {
#pragma omp critical(distill_import_error)
                if (i < failed) failed = i, error = std::current_exception();
            }
        }
        if (error) std::rethrow_exception(error);
        writer.append(into, records.data(), count);
        progress.advance(count);
    }
}

ImportOptions resolved(ImportOptions options) {
    const bool tiny = options.kind == "tiny-imagenet", fashion = options.kind == "fashion-mnist";
    if (!tiny && !fashion && options.kind != "images")
        input_error("data import: found '", options.kind, "', expected tiny-imagenet, images or fashion-mnist");
    if (options.from.empty() && tiny) options.from = options.data / "tiny-imagenet-200";
    if (options.from.empty() && fashion) options.from = "/usr/share/datasets/fashion-mnist";  // Debian's dataset-fashion-mnist
    if (options.from.empty()) input_error("data import images: --from is missing, expected the folder that has train/ and test/");
    if (options.size == 0 && tiny) options.size = 64;
    if (options.size == 0 && fashion) options.size = 32;
    if (options.size == 0) input_error("data import images: --size is missing, expected the side of the square images, e.g. 32");
    if (options.size < 1 || options.size > 4096) input_error("--size: found ", options.size, ", expected 1 to 4096");
    if (options.classes < 0) input_error("--classes: found ", options.classes, ", expected 1 to 256");
    if (options.limit < 0) input_error("--limit: found ", options.limit, ", expected at least 1 image a class");
    if (options.dataset.empty()) options.dataset = options.kind;
    return options;
}

}  // namespace

void import_dataset(const ImportOptions& given) {
    const ImportOptions options = resolved(given);
    const ImportSource source = options.kind == "tiny-imagenet"   ? list_tiny_imagenet(options)
                                : options.kind == "fashion-mnist" ? list_fashion_mnist(options)
                                                                  : list_class_folders(options);
    DatasetWriter writer(options.data, options.dataset, options.size, options.size, source.classes, options.force);
    const size_t train = source.train.labels.size(), test = source.test.labels.size();
    Progress progress(train + test, options.quiet);
    write_part(writer, DatasetWriter::train, source.train, mixed_order(train), progress);
    write_part(writer, DatasetWriter::test, source.test, file_order(test), progress);
    writer.finish();
    if (!options.quiet)
        std::printf("%s: %zu classes, %zu training and %zu test images of %dx%d, %.1f s\n", writer.folder().c_str(), source.classes.size(),
                    train, test, options.size, options.size, progress.seconds());
}

}  // namespace distill
