// Which records each image of a batch is contrasted with, as counts over all records. Without repetition a record is drawn if a keyed
// permutation of the records of other classes moves it among the first `count`: nothing is sorted, and each element is found by itself.
#include "base_error.h"
#include "core_philox.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

/// A permutation of 0 … m−1, m ≥ 1: a Feistel network on the rectangle columns × 2^bits ≥ m, gone through again by what lands outside of it
/// (Black and Rogaway 2002).
struct KeyedPermutation {
    static constexpr int rounds = 3;
    uint32_t m, columns, keys[2 * rounds];
    int bits;

    DISTILL_HD KeyedPermutation(uint32_t m_, const Random4& a, const Random4& b)
        : m(m_), columns(0), keys{a.v[0], a.v[1], a.v[2], a.v[3], b.v[0], b.v[1]}, bits(0) {
        while ((uint64_t{1} << 2 * bits) < m) ++bits;
        columns = (m >> bits) + ((m & ((1u << bits) - 1)) != 0 ? 1 : 0);
    }
    /// MurmurHash3's finaliser: each bit hangs on all of x and of the key.
    DISTILL_HD static uint32_t hashed(uint32_t x, uint32_t key) {
        x ^= key;
        x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
        x = (x ^ (x >> 13)) * 0xC2B2AE35u;
        return x ^ (x >> 16);
    }
    /// One passage through the network: of the rectangle's elements a permutation.
    DISTILL_HD uint32_t passed(uint32_t x) const {
        const uint32_t low = (1u << bits) - 1;
        uint32_t column = x >> bits, rest = x & low;
        for (int round = 0; round < rounds; ++round) {
            column += static_cast<uint32_t>((static_cast<uint64_t>(hashed(rest, keys[2 * round])) * columns) >> 32);
            column -= column >= columns ? columns : 0;
            rest = (rest + hashed(column, keys[2 * round + 1])) & low;
        }
        return (column << bits) | rest;
    }
};

/// The draws as every functor sees them.
struct Draws {
    int64_t count, records, given_steps, given_batch;
    const int32_t *by_class, *rank, *class_begin;
    uint64_t key;
    const int32_t *batch_records, *batch_labels, *step;

    DISTILL_HD uint64_t counter(int64_t sample, int64_t block) const {
        return (static_cast<uint64_t>(batch_records[sample]) << 32) | static_cast<uint64_t>(block);
    }
    DISTILL_HD Random4 numbers(int64_t sample, int64_t block) const {
        return philox(key, counter(sample, block), static_cast<uint64_t>(*step));
    }
    DISTILL_HD int32_t begin(int64_t sample) const { return class_begin[batch_labels[sample]]; }
    DISTILL_HD int32_t own(int64_t sample) const { return class_begin[batch_labels[sample] + 1] - begin(sample); }
    DISTILL_HD int64_t others(int64_t sample) const { return records - own(sample); }
    DISTILL_HD bool is_given() const { return *step < given_steps; }
};

/// Four draws with repetition, where they are needed.
struct DrawRepeated {
    Draws from;
    int64_t blocks;  ///< of an image
    int32_t* drawn;  ///< (N,count)
    DISTILL_HD void operator()(int64_t i) const {
        const int64_t sample = i / blocks, block = i % blocks, m = from.others(sample);
        if (m >= from.count || from.is_given()) return;
        const Random4 r = from.numbers(sample, block);
        const int32_t begin = from.begin(sample), own = from.own(sample);
        for (int k = 0; k < 4 && 4 * block + k < from.count; ++k) {
            const auto place = static_cast<int32_t>((static_cast<uint64_t>(r.v[k]) * static_cast<uint64_t>(m)) >> 32);
            drawn[sample * from.count + 4 * block + k] = from.by_class[place < begin ? place : place + own];
        }
    }
};

/// One image's row of counts.
struct CountDraws {
    Draws from;
    const int32_t *given, *repeated;
    int32_t* counts;
    int64_t moved_bytes() const { return from.records * static_cast<int64_t>(sizeof *counts); }

    /// Each task counts for records of its own, so that no two add to one.
    template <class Lane>
    DISTILL_HD void tally(const int32_t* drawn, int64_t n, int32_t* out, const Lane& lane) const {
        constexpr int tasks = Lane::width > 1 ? 1 : 128;
        const int64_t all = from.records;
        lane.each(all, [=](int64_t r) { out[r] = 0; });
        lane.tasks(tasks, [=](int task) {
            const int64_t first = all * task / tasks, end = all * (task + 1) / tasks;
            for (int64_t j = 0; j < n; ++j)
                if (drawn[j] >= first && drawn[j] < end) ++out[drawn[j]];
        });
    }
    template <class Lane>
    DISTILL_HD void permuted(int64_t sample, int32_t* out, const Lane& lane) const {
        const auto m = static_cast<uint32_t>(from.others(sample)), count = static_cast<uint32_t>(from.count);
        const int32_t begin = from.begin(sample), own = from.own(sample), *rank = from.rank;
        const KeyedPermutation permutation(m, from.numbers(sample, 0), from.numbers(sample, 1));
        constexpr int32_t outside = 2;  // what has to go on: a few of a thousand, after the loop that the compiler makes vectors of
        lane.each(from.records, [=](int64_t r) {
            const int32_t at = rank[r];
            const uint32_t to = permutation.passed(static_cast<uint32_t>(at < begin ? at : at - own));
            const bool of_own_class = at >= begin && at < begin + own;
            out[r] = of_own_class ? 0 : to >= m ? outside : to < count ? 1 : 0;
        });
        lane.each(from.records, [=](int64_t r) {
            if (out[r] != outside) return;
            auto to = static_cast<uint32_t>(rank[r] < begin ? rank[r] : rank[r] - own);
            do {
                to = permutation.passed(to);
            } while (to >= m);
            out[r] = to < count ? 1 : 0;
        });
    }
    template <class Lane>
    DISTILL_HD void every(int64_t sample, int32_t* out, const Lane& lane) const {
        const int32_t begin = from.begin(sample), own = from.own(sample), *rank = from.rank;
        lane.each(from.records, [=](int64_t r) { out[r] = rank[r] >= begin && rank[r] < begin + own ? 0 : 1; });
    }
    template <class Lane>
    DISTILL_HD void operator()(int64_t sample, const Lane& lane) const {
        int32_t* out = counts + sample * from.records;
        if (from.count == 0)
            every(sample, out, lane);
        else if (from.is_given())
            tally(given + (*from.step * from.given_batch + sample) * from.count, from.count, out, lane);
        else if (from.others(sample) >= from.count)
            permuted(sample, out, lane);
        else if (repeated)
            tally(repeated + sample * from.count, from.count, out, lane);
        else
            every(sample, out, lane);
    }
};

}  // namespace

Tensor draw_negatives(const NegativeDraws& d, const Tensor& records, const Tensor& labels, const Tensor& step) {
    const int64_t samples = records.size(), all = d.rank.size(), count = d.count;
    const Shape given = d.given.defined() ? d.given.shape() : Shape{0, 1, samples, count};
    if (labels.size() != samples || d.by_class.size() != all || count < 0 || given.w < samples || given.c != count)
        failure("draw_negatives: ", count, " for each of ", samples, " images with ", labels.size(), " labels, from ", all,
                " records; given are ", to_string(given), " ---> (steps,1,batch,count), for as many images as the batch has or more");
    Backend& backend = records.backend();
    const Draws from{count,          all,           given.n,    given.w, d.by_class.ints(), d.rank.ints(), d.class_begin.ints(), d.key,
                     records.ints(), labels.ints(), step.ints()};
    const int64_t blocks = (count + 3) / 4;
    const Tensor repeated = d.repeats ? Tensor::integers(backend, {samples, 1, 1, count}) : Tensor();
    if (d.repeats) for_each_element(backend, samples * blocks, DrawRepeated{from, blocks, repeated.ints()});
    Tensor counts = Tensor::integers(backend, {samples, 1, 1, all});
    for_each_row(backend, samples, all,
                 CountDraws{from, d.given.defined() ? d.given.ints() : nullptr, d.repeats ? repeated.ints() : nullptr, counts.ints()});
    return counts;
}

}  // namespace distill
