#include "data_jpeg_scans.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base_error.h"
#include "data_jpeg_segments.h"

namespace distill {
namespace {

constexpr uint8_t first_restart = 0xD0, last_restart = 0xD7;
constexpr int no_code = -1;

size_t number(std::string_view bytes, size_t at) { return size_t{byte_at(bytes, at)} << 8 | byte_at(bytes, at + 1); }

/// What begins some bits: a symbol's code, or none.
struct Code {
    int symbol = no_code;
    unsigned length = 0;
};

/// A Huffman table (T.81, annex C): codes of a length are numbers that follow each other, and those of the next length follow them.
class Codes {
  public:
    static constexpr size_t lengths = 16, most = 256;

    Codes() = default;
    /// given: how many codes there are of each length, then their symbols; at most 256, and all there.
    explicit Codes(std::string_view given) {
        uint32_t code = 0, count = 0;
        for (unsigned length = 1; length <= lengths; ++length, code <<= 1) {
            shift_[length] = count - code;
            for (unsigned left = byte_at(given, length - 1); left > 0; --left, ++code, ++count) {
                symbols_[count] = byte_at(given, lengths + count);
                for (uint32_t bits = code << 8 >> length; length <= 8 && bits < std::min(256u, (code + 1) << 8 >> length); ++bits)
                    short_[bits] = {symbols_[count], length};
            }
            end_[length] = code << (lengths - length);
        }
    }
    Code at(uint32_t bits) const {  // 16
        if (short_[bits >> 8].length > 0) return short_[bits >> 8];
        for (unsigned length = 9; length <= lengths; ++length)
            if (bits < end_[length]) return {symbols_[(bits >> (lengths - length)) + shift_[length]], length};
        return {};
    }

  private:
    std::array<Code, 256> short_;                ///< by the upper 8 bits: codes of up to 8
    std::array<uint32_t, lengths + 1> end_{};    ///< all codes of a length, moved to the upper bits, are below
    std::array<uint32_t, lengths + 1> shift_{};  ///< from a length's code to its symbol
    std::array<uint8_t, most> symbols_{};
};

/// A scan's data up to a marker, bit by bit. Behind it there are zeros, and whoever takes one is told by lacks().
class Bits {
  public:
    Bits(std::string_view bytes, size_t at) : bytes_(bytes), at_(at) {}

    int symbol(const Codes& codes) {
        if (count_ < 16) fill();
        const Code code = codes.at(static_cast<uint32_t>(bits_ >> 48));
        skip(code.length);
        return code.symbol;
    }
    unsigned take(unsigned count) {  // at most 32
        if (count == 0) return 0;
        if (count_ < count) fill();
        const auto value = static_cast<unsigned>(bits_ >> (64 - count));
        skip(count);
        return value;
    }
    void skip(unsigned count) {  // at most 32
        if (count_ < count) fill();
        lacks_ |= count_ < count;
        bits_ <<= count;
        count_ -= std::min(count_, count);
    }
    bool lacks() const { return lacks_; }
    /// Passes over what is left, and returns how many whole bytes that was.
    size_t rest() {
        size_t whole = count_ / 8;
        bits_ = count_ = 0;
        while (next_byte() >= 0) ++whole;
        return whole;
    }
    /// Where the marker's second byte lies, once all before it is read; the file's end if there is none.
    size_t marker_at() const { return std::min(bytes_.find_first_not_of('\xFF', at_), bytes_.size()); }

  private:
    /// -1 at a marker, and where the file ends. A byte of ones is followed by a zero; there may be more of the ones.
    int next_byte() {
        if (at_ < bytes_.size() && bytes_[at_] != '\xFF') return byte_at(bytes_, at_++);
        const size_t behind = bytes_.find_first_not_of('\xFF', at_);
        if (behind == std::string_view::npos || bytes_[behind] != 0) return -1;
        at_ = behind + 1;
        return 0xFF;
    }
    void fill() {
        for (int next = 0; count_ <= 56 && (next = next_byte()) >= 0; count_ += 8) bits_ |= uint64_t(next) << (56 - count_);
    }

    std::string_view bytes_;
    size_t at_;
    uint64_t bits_ = 0;  ///< those at hand, from the uppermost down; zeros below
    unsigned count_ = 0;
    bool lacks_ = false;
};

struct Component {
    uint8_t name;
    size_t blocks_of_unit;            ///< of a scan of several components
    size_t blocks;                    ///< of a scan of its own
    bool begun = false;               ///< by a scan that gives each block its first coefficient
    std::vector<uint64_t> nonzero{};  ///< progressive: which of a block's coefficients are
};

struct Picture {
    bool progressive = false;
    size_t units = 0;  ///< of a scan of several components
    std::vector<Component> components;
    std::array<Codes, 4> dc, ac;
    size_t interval = 0;  ///< units from one restart to the next; 0: none
};

struct Part {
    Component& component;
    const Codes &dc, &ac;
};

struct Scan {
    std::vector<Part> parts;
    unsigned first, last;  ///< coefficients
    bool refines;
};

size_t divided_up(size_t number, size_t by) { return (number + by - 1) / by; }

/// False for what the decoder refuses, as all below.
bool read_tables(std::string_view segment, Picture& picture) {
    for (size_t at = 0; at < segment.size();) {
        const size_t kind = byte_at(segment, at) >> 4, which = byte_at(segment, at) & 15, given = at + 1;
        if (kind > 1 || which > 3 || segment.size() - given < Codes::lengths) return false;
        size_t symbols = 0;
        for (size_t i = 0; i < Codes::lengths; ++i) symbols += byte_at(segment, given + i);
        if (symbols > Codes::most || symbols > segment.size() - given - Codes::lengths) return false;
        (kind == 0 ? picture.dc : picture.ac)[which] = Codes(segment.substr(given));
        at = given + Codes::lengths + symbols;
    }
    return true;
}

bool read_frame(std::string_view segment, Picture& picture) {
    constexpr size_t head = 6, each = 3;
    if (segment.size() < head || segment.size() != head + each * byte_at(segment, 5)) return false;
    const size_t height = number(segment, 1), width = number(segment, 3);
    size_t across = 1, down = 1;  // the most samples that any component has for the others' one
    for (size_t at = head; at < segment.size(); at += each) {
        across = std::max<size_t>(across, byte_at(segment, at + 1) >> 4);
        down = std::max<size_t>(down, byte_at(segment, at + 1) & 15);
    }
    picture.units = divided_up(width, 8 * across) * divided_up(height, 8 * down);
    for (size_t at = head; at < segment.size(); at += each) {
        const size_t h = byte_at(segment, at + 1) >> 4, v = byte_at(segment, at + 1) & 15;
        const size_t columns = divided_up(width * h, across), rows = divided_up(height * v, down);
        picture.components.push_back({byte_at(segment, at), h * v, divided_up(columns, 8) * divided_up(rows, 8)});
    }
    return true;
}

bool read_scan(std::string_view segment, Picture& picture, Scan& scan) {
    const size_t parts = segment.empty() ? 0 : byte_at(segment, 0), rest = 1 + 2 * parts;
    if (parts == 0 || segment.size() != rest + 3) return false;
    for (size_t at = 1; at < rest; at += 2) {
        const size_t dc = byte_at(segment, at + 1) >> 4, ac = byte_at(segment, at + 1) & 15;
        const auto component = std::find_if(picture.components.begin(), picture.components.end(),
                                            [&](const Component& each) { return each.name == byte_at(segment, at); });
        if (component == picture.components.end() || dc > 3 || ac > 3) return false;
        scan.parts.push_back({*component, picture.dc[dc], picture.ac[ac]});
    }
    scan.first = byte_at(segment, rest);
    scan.last = byte_at(segment, rest + 1);
    scan.refines = byte_at(segment, rest + 2) >> 4 != 0;
    if (!picture.progressive) return scan.first == 0 && !scan.refines;
    return scan.last < 64 && (scan.first == 0 ? scan.last == 0 : scan.first <= scan.last && parts == 1);
}

/// The first coefficient of a block: how many bits it has, then they.
bool pass_dc(Bits& bits, const Codes& codes) {
    const int size = bits.symbol(codes);
    if (size < 0 || size > 15) return false;
    bits.skip(static_cast<unsigned>(size));
    return true;
}

/// Coefficients: how many zeros come before one, and its bits. 16 zeros have no bits behind them; else no bits are the block's end.
bool pass_block(Bits& bits, const Codes& codes) {
    for (unsigned k = 1; k < 64; ++k) {
        const int symbol = bits.symbol(codes);
        if (symbol < 0) return false;
        const unsigned zeros = static_cast<unsigned>(symbol) >> 4, size = symbol & 15;
        if (size == 0 && zeros < 15) break;
        k += zeros;
        bits.skip(size);
    }
    return true;
}

/// Some coefficients of a progressive image's block. Here the end is that of a number of blocks, this one the first.
bool pass_band(Bits& bits, const Codes& codes, const Scan& scan, size_t& ended_blocks, uint64_t& nonzero) {
    for (unsigned k = scan.first; k <= scan.last && ended_blocks == 0; ++k) {
        const int symbol = bits.symbol(codes);
        if (symbol < 0) return false;
        const unsigned zeros = static_cast<unsigned>(symbol) >> 4, size = symbol & 15;
        if (size == 0 && zeros < 15) {
            ended_blocks = (size_t{1} << zeros) + bits.take(zeros);
            break;
        }
        k += zeros;
        bits.skip(size);
        if (size > 0) nonzero |= uint64_t{1} << std::min(k, 63u);
    }
    if (ended_blocks > 0) --ended_blocks;
    return true;
}

/// One bit more of them: of each that is there, where it stands, and the sign of each that is new. The zeros before it are those that stay.
bool pass_refinement(Bits& bits, const Codes& codes, const Scan& scan, size_t& ended_blocks, uint64_t& nonzero) {
    unsigned k = scan.first;
    while (k <= scan.last && ended_blocks == 0) {
        const int symbol = bits.symbol(codes);
        if (symbol < 0 || (symbol & 15) > 1) return false;
        unsigned zeros = static_cast<unsigned>(symbol) >> 4;
        const bool adds = symbol & 15;
        if (!adds && zeros < 15) {
            ended_blocks = (size_t{1} << zeros) + bits.take(zeros);
            break;
        }
        bits.skip(adds);
        for (bool placed = false; k <= scan.last && !placed; ++k) {
            const uint64_t here = uint64_t{1} << k;
            const bool there = nonzero & here;
            bits.skip(there);
            placed = !there && zeros-- == 0;
            if (placed && adds) nonzero |= here;
        }
    }
    if (ended_blocks == 0) return true;
    --ended_blocks;
    constexpr uint64_t all = ~uint64_t{0};
    for (uint64_t left = nonzero & (all << k) & (all >> (63 - scan.last)); left != 0; left &= left - 1) bits.skip(1);
    return true;
}

/// False for codes that no table has.
bool pass_block_of(const Part& part, const Scan& scan, bool progressive, size_t block, Bits& bits, size_t& ended_blocks) {
    if (!progressive) return pass_dc(bits, part.dc) && pass_block(bits, part.ac);
    if (scan.first > 0)
        return (scan.refines ? pass_refinement : pass_band)(bits, part.ac, scan, ended_blocks, part.component.nonzero[block]);
    if (!scan.refines) return pass_dc(bits, part.dc);
    bits.skip(1);
    return true;
}

std::string name_of(uint8_t marker) {
    if (marker >= first_restart && marker <= last_restart) return text("restart marker ", marker - first_restart);
    return marker == JpegSegment::end_of_image ? "the image's end" : "another segment";
}

/// Reads the codes of all its blocks, and the restart markers between them. False where the decoder refuses what follows.
bool pass_scan(std::string_view bytes, size_t at, const Picture& picture, const Scan& scan) {
    constexpr size_t most_left = 2;  // bytes before a restart marker, which the decoder does not find further on
    const bool alone = scan.parts.size() == 1;
    const auto blocks_of = [&](const Part& part) { return alone ? 1 : part.component.blocks_of_unit; };
    size_t blocks_of_unit = 0, ended_blocks = 0, done = 0;
    for (const Part& part : scan.parts) blocks_of_unit += blocks_of(part);
    const size_t units = alone ? scan.parts[0].component.blocks : picture.units, interval = picture.interval > 0 ? picture.interval : units;
    const size_t blocks = units * blocks_of_unit;
    const auto complain = [&](size_t marker_at, const auto&... expected) {
        input_error("JPEG, byte ", marker_at - 1, ": found ", name_of(byte_at(bytes, marker_at)), " after ", done, " of a scan's ", blocks,
                    " blocks, expected ", expected...);
    };
    Bits bits(bytes, at);
    for (size_t unit = 0; unit < units; ++unit) {
        if (unit > 0 && unit % interval == 0) {
            const size_t left = bits.rest(), marker_at = bits.marker_at(), restart = (unit / interval - 1) % 8;
            if (marker_at == bytes.size()) return false;
            if (byte_at(bytes, marker_at) != first_restart + restart) complain(marker_at, "restart marker ", restart);
            if (left > most_left) complain(marker_at, "it ", left, " bytes before, where these blocks end");
            bits = Bits(bytes, marker_at + 1);
            ended_blocks = 0;
        }
        for (const Part& part : scan.parts)
            for (size_t i = 0; i < blocks_of(part); ++i, ++done) {
                const bool passed = pass_block_of(part, scan, picture.progressive, unit, bits, ended_blocks);
                if (bits.lacks() && bits.marker_at() < bytes.size())
                    complain(bits.marker_at(), std::min(blocks, (unit / interval + 1) * interval * blocks_of_unit), " of them before it");
                if (bits.lacks() || !passed) return false;
            }
    }
    return true;
}

/// Notes that the scan's components have begun; of a progressive image that is a scan of their first coefficients.
void begin_components(const Scan& scan, size_t at, bool progressive) {
    const bool begins = !progressive || (scan.first == 0 && !scan.refines);
    for (size_t i = 0; i < scan.parts.size(); ++i) {
        Component& component = scan.parts[i].component;
        for (size_t earlier = 0; earlier < i; ++earlier)  // the decoder would go by the last one's tables
            if (&scan.parts[earlier].component == &component)
                input_error("JPEG, byte ", at, ": found a scan that has a component twice, expected each once");
        if (!begins && !component.begun)
            input_error("JPEG, byte ", at, ": found a scan that goes on with a component, expected one that begins it before");
        component.begun = true;
        if (progressive && begins) component.nonzero.assign(component.blocks, 0);
    }
}

void check_components(const std::vector<Component>& components, size_t end_at) {
    for (size_t i = 0; i < components.size(); ++i)
        if (!components[i].begun)
            input_error("JPEG, byte ", end_at, ": found the image's end, expected a scan of component ", i + 1, " of ", components.size(),
                        " before it");
}

/// False where the decoder refuses the segment, or what follows; and behind the image's end.
bool pass_segment(std::string_view bytes, const JpegSegment& segment, Picture& picture) {
    if (segment.end > bytes.size()) return false;
    const std::string_view content = bytes.substr(segment.at, segment.end - segment.at);
    if (segment.is_frame()) {
        picture.progressive = segment.marker == JpegSegment::progressive_frame;
        return picture.components.empty() && read_frame(content, picture);
    }
    if (segment.marker == JpegSegment::huffman_tables) return read_tables(content, picture);
    if (segment.marker == JpegSegment::restart_interval) {
        if (content.size() != 2) return false;
        picture.interval = number(content, 0);
    }
    if (segment.marker == JpegSegment::start_of_scan) {
        Scan scan{};
        if (!read_scan(content, picture, scan)) return false;
        begin_components(scan, segment.at, picture.progressive);
        return pass_scan(bytes, segment.end, picture, scan);
    }
    if (segment.marker != JpegSegment::end_of_image) return true;
    check_components(picture.components, segment.at - 2);
    return false;
}

}  // namespace

void check_jpeg_scans(std::string_view bytes) {
    if (!is_jpeg(bytes)) return;
    Picture picture;
    auto segment = next_jpeg_segment(bytes, 0);
    while (segment && pass_segment(bytes, *segment, picture)) segment = next_jpeg_segment(bytes, segment->end);
}

}  // namespace distill
