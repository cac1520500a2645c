// core_philox.h: counter-based random numbers (Salmon et al. 2011, Philox4x32-10): a draw depends on its key and counter alone,
// never on threads, device or order of execution.
// defines: Purpose, mix_bits, random_key, hash_name, start_key_version, start_key, Random4, philox, uniform, normal
#pragma once
#include <cmath>
#include <cstdint>
#include <string_view>

#include "core_host_device.h"

namespace distill {

/// What a number is drawn for: the same seed gives unrelated streams.
enum class Purpose : uint64_t {
    init = 1,
    shuffle = 2,
    augment = 3,
    dropout = 4,
    validation = 5,
    bench = 6,
    search = 7,
    start = 8,
    negatives = 9
};

/// Mixes a number's bits, as splitmix64 makes its output of its state: numbers that differ in one bit become unrelated ones.
DISTILL_HD inline uint64_t mix_bits(uint64_t z) {
    z += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}
/// Mixes a seed, a purpose and a further number (a parameter's name hash, an epoch) into one key.
DISTILL_HD inline uint64_t random_key(uint64_t seed, Purpose purpose, uint64_t which = 0) {
    return mix_bits(mix_bits(mix_bits(seed) ^ static_cast<uint64_t>(purpose)) ^ which);
}
/// FNV-1a: a name as a number.
inline uint64_t hash_name(std::string_view name) {
    uint64_t h = 0xCBF29CE484222325ull;
    for (char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
    return h;
}

/// Says which of this program's ways from a seed to start weights and batches a run was made by; config.csv and journals have it.
/// 1: seed and a parameter's name; 2: start_key(), and the network's name beside the parameter's.
constexpr int start_key_version = 2;

/// What a training draws its start weights, order of batches, augmentation and dropout from: not the seed alone, but also its role (alone,
/// student, graph, teacher, decoder) and generation (0 learnt from labels alone, else one more than the latest it learns or starts from).
/// So no two trainings where one learns from the other begin alike because their seeds are equal; two methods of one role, generation,
/// network and seed do, and may be compared seed by seed.
inline uint64_t start_key(uint64_t seed, std::string_view role, int generation) {
    return random_key(seed, Purpose::start, mix_bits(hash_name(role)) + static_cast<uint64_t>(generation));
}

struct Random4 {
    uint32_t v[4];
};

/// Four independent 32-bit numbers for (key, counter).
DISTILL_HD inline Random4 philox(uint64_t key, uint64_t counter_low, uint64_t counter_high = 0) {
    uint32_t c0 = static_cast<uint32_t>(counter_low), c1 = static_cast<uint32_t>(counter_low >> 32);
    uint32_t c2 = static_cast<uint32_t>(counter_high), c3 = static_cast<uint32_t>(counter_high >> 32);
    uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
        const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
        c1 = static_cast<uint32_t>(p1);
        c3 = static_cast<uint32_t>(p0);
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

/// [0, 1) on a grid of 2⁻²⁴, exact in float.
DISTILL_HD inline float uniform(uint32_t bits) { return static_cast<float>(bits >> 8) * 5.9604644775390625e-8f; }

/// A standard normal by Box and Muller, in double so that every backend rounds the same number.
DISTILL_HD inline float normal(uint32_t bits_a, uint32_t bits_b) {
    const double u = (bits_a + 1.0) / 4294967296.0, v = bits_b / 4294967296.0;
    return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586476925 * v));
}

}  // namespace distill
