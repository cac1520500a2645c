#include "data_import.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <numeric>
#include <random>
#include <vector>

#include "base_error.h"
#include "base_texts.h"
#include "data_image.h"
#include "data_twins.h"
#include "dataset_writer.h"

namespace distill {
namespace {

constexpr size_t kChunk = 512;  // images in memory at once, or as many as these bytes hold, one at least
constexpr size_t kChunkBytes = 8 << 20;
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

/// What is met on the way through the images.
struct Findings {
    size_t turned = 0, transparent = 0;
    std::vector<std::string> complaints, in_short;  ///< of images that cannot be used
    Twins twins;

    void add(const Drawn& drawn) { turned += drawn.turned, transparent += drawn.transparent; }
    void add(const InputError& error) {
        const auto* broken = dynamic_cast<const BrokenImage*>(&error);
        complaints.push_back(error.what());
        in_short.push_back(broken ? broken->file + " (" + broken->reason + ")" : error.what());
    }
    /// InputError that names every image that cannot be used, if there are any.
    void require_all_good() {
        if (complaints.empty()) return;
        if (complaints.size() == 1) input_error(complaints.front());
        std::sort(in_short.begin(), in_short.end());
        input_error(in_short.size(), " images cannot be used: ", joined(in_short, "; "), "; replace or remove them");
    }
};

/// Draws images [begin, begin + count) of the order into records. Of those that cannot be used it only says so.
void draw_chunk(const ImportPart& part, const size_t* order, size_t count, bool test, size_t record_size, std::vector<uint8_t>& records,
                Findings& findings) {
    std::exception_ptr error;
    std::vector<ImageDigest> digests(count);
#pragma omp parallel for schedule(dynamic, 4)
    for (size_t i = 0; i < count; ++i) {
        uint8_t* const record = &records[i * record_size];
        try {
            record[0] = uint8_t(part.labels[order[i]]);
            const Drawn drawn = part.draw(order[i], record + 1);
            digests[i] = digest_of(record + 1, record_size - 1);
#pragma omp critical(distill_import)
            findings.add(drawn);
        } catch (const InputError& complaint) {
#pragma omp critical(distill_import)
            findings.add(complaint);
        } catch (...) {
#pragma omp critical(distill_import)
            error = std::current_exception();
        }
    }
    if (error) std::rethrow_exception(error);
    for (size_t i = 0; i < count; ++i) findings.twins.add(digests[i], part.labels[order[i]], test);
}

/// After an image that cannot be used nothing more is written: the rest is only looked at, so that all of them can be named.
void write_part(DatasetWriter& writer, DatasetWriter::Part into, const ImportPart& part, const std::vector<size_t>& order,
                Findings& findings, Progress& progress) {
    const size_t chunk = std::clamp<size_t>(kChunkBytes / writer.record_size(), 1, kChunk);
    std::vector<uint8_t> records(chunk * writer.record_size());
    for (size_t begin = 0; begin < order.size(); begin += chunk) {
        const size_t count = std::min(chunk, order.size() - begin);
        draw_chunk(part, &order[begin], count, into == DatasetWriter::test, writer.record_size(), records, findings);
        if (findings.complaints.empty()) writer.append(into, records.data(), count);
        progress.advance(count);
    }
}

/// What the user may not expect of the set.
std::vector<std::string> remarks(const ImportSource& source, Findings& findings) {
    std::vector<std::string> lines = source.notes;
    if (findings.turned > 0)
        lines.push_back(text("note: ", findings.turned, " images were turned or mirrored as their EXIF orientation asks"));
    if (findings.transparent > 0)
        lines.push_back(text("note: ", findings.transparent,
                             " images have transparent pixels: the transparency is ignored, the colours under it count"));
    std::vector<std::string> lacking;
    for (size_t c = 0; c < source.classes.size(); ++c)
        if (std::count(source.test.labels.begin(), source.test.labels.end(), int32_t(c)) == 0) lacking.push_back(source.classes[c].name);
    if (!lacking.empty()) lines.push_back(text("warning: the test part has no image of: ", joined(lacking)));
    for (std::string& line : warnings_of(findings.twins.count())) lines.push_back(std::move(line));
    return lines;
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
    if (options.test_part != 0 && !(options.test_part > 0 && options.test_part < 1))
        input_error("--test-part: found ", options.test_part, ", expected a part above 0 and below 1, e.g. 0.2");
    if (options.test_part != 0 && options.kind != "images")
        input_error("--test-part ", options.test_part, ": ", options.kind, " has a test part already; leave the option out");
    if (options.dataset.empty()) options.dataset = options.kind;
    return options;
}

/// The folder that --force replaces must not hold the images: they would go once they are read.
void require_apart(const ImportOptions& options) {
    const fs::path target = options.data / options.dataset;
    if (!options.force || !fs::exists(target)) return;
    const fs::path into = fs::canonical(target), from = fs::weakly_canonical(fs::absolute(options.from));
    if (std::mismatch(into.begin(), into.end(), from.begin(), from.end()).first == into.end())
        input_error("--from ", options.from.string(), ": lies in ", target.string(),
                    ", which --force would remove with all that is in it; choose another name with --dataset, or move the images");
}

}  // namespace

void import_dataset(const ImportOptions& given) {
    const ImportOptions options = resolved(given);
    require_apart(options);
    const ImportSource source = options.kind == "tiny-imagenet"   ? list_tiny_imagenet(options)
                                : options.kind == "fashion-mnist" ? list_fashion_mnist(options)
                                                                  : list_class_folders(options);
    DatasetWriter writer(options.data, options.dataset, options.size, options.size, source.classes, options.force);
    const size_t train = source.train.labels.size(), test = source.test.labels.size();
    Progress progress(train + test, options.quiet);
    Findings findings;
    write_part(writer, DatasetWriter::train, source.train, mixed_order(train), findings, progress);
    write_part(writer, DatasetWriter::test, source.test, file_order(test), findings, progress);
    findings.require_all_good();
    writer.finish();
    if (options.quiet) return;
    for (const std::string& line : remarks(source, findings)) std::printf("%s\n", line.c_str());
    std::printf("%s: %zu classes, %zu training and %zu test images of %dx%d, %.1f s\n", writer.folder().c_str(), source.classes.size(),
                train, test, options.size, options.size, progress.seconds());
}

}  // namespace distill
