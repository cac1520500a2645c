#include "data_synth.h"

#include <algorithm>
#include <random>
#include <vector>

#include "base_error.h"
#include "dataset_writer.h"

namespace distill {
namespace {

constexpr int kCells = 8;      // a texture repeats after 8x8 cells
constexpr int kContrast = 56;  // texture: -56 .. 56 around the cast
constexpr int kCast = 40;      // colour cast of an image, a channel: 128 -40 .. 40
constexpr int kNoise = 32;     // of a pixel: -32 .. 31, so that no sum leaves 0 .. 255

/// An engine for one purpose: std::mt19937_64 and std::seed_seq are fixed by the C++ standard, bit for bit.
std::mt19937_64 engine_for(uint64_t seed, uint32_t purpose) {
    std::seed_seq sequence{uint32_t(seed), uint32_t(seed >> 32), purpose};
    return std::mt19937_64(sequence);
}

int draw(std::mt19937_64& engine, int low, int high) { return low + int(engine() % uint64_t(high - low + 1)); }

/// kCells x kCells values for each class and channel, in this order: class, channel, row, column.
std::vector<int> textures(const SynthOptions& options) {
    std::mt19937_64 engine = engine_for(options.seed, 0);
    std::vector<int> values(size_t(options.classes) * 3 * kCells * kCells);
    for (int& value : values) value = draw(engine, -kContrast, kContrast);
    return values;
}

void write_part(DatasetWriter& writer, DatasetWriter::Part part, const SynthOptions& options, const std::vector<int>& texture) {
    std::mt19937_64 engine = engine_for(options.seed, part == DatasetWriter::train ? 1 : 2);
    const int cell = std::max(1, options.size / (2 * kCells));  // the texture appears about twice along each side
    std::vector<uint8_t> record(writer.record_size());
    const int images = part == DatasetWriter::train ? options.train : options.test;
    for (int i = 0; i < images; ++i) {
        const int label = i % options.classes;
        record[0] = uint8_t(label);
        uint8_t* out = &record[1];
        const int shift_y = draw(engine, 0, kCells * cell - 1), shift_x = draw(engine, 0, kCells * cell - 1);
        for (int channel = 0; channel < 3; ++channel) {
            const int* const tile = &texture[size_t(label * 3 + channel) * kCells * kCells];
            const int cast = 128 + draw(engine, -kCast, kCast);
            uint64_t bits = 0;
            for (int y = 0; y < options.size; ++y)
                for (int x = 0; x < options.size; ++x) {
                    const int pixel = y * options.size + x;
                    bits = pixel % 8 == 0 ? engine() : bits >> 8;  // eight pixels' noise from one draw
                    const int noise = int(bits % (2 * kNoise)) - kNoise;
                    const int value = tile[(y + shift_y) / cell % kCells * kCells + (x + shift_x) / cell % kCells];
                    *out++ = uint8_t(std::clamp(cast + value + noise, 0, 255));
                }
        }
        writer.append(part, record.data(), 1);
    }
}

}  // namespace

void synthesize(const std::filesystem::path& data_dir, const SynthOptions& options) {
    if (options.train < 1 || options.test < 1)
        input_error("data synth: found --train ", options.train, " --test ", options.test, ", expected at least 1 each");
    if (options.size < 4) input_error("data synth: found --size ", options.size, ", expected 4 to 4096");
    if (options.classes < 1 || options.classes > 256)
        input_error("data synth: found --classes ", options.classes, ", expected 1 to 256 (a label is one byte)");
    std::vector<ClassName> classes;
    for (int c = 0; c < options.classes; ++c) classes.push_back({text("texture", c), ""});
    DatasetWriter writer(data_dir, options.dataset, options.size, options.size, classes, options.force);
    const std::vector<int> texture = textures(options);
    write_part(writer, DatasetWriter::train, options, texture);
    write_part(writer, DatasetWriter::test, options, texture);
    writer.finish();
}

}  // namespace distill
