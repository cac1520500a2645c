// cpu_simd.h: a vector of floats, as wide as the CPU that is compiled for has them, on GCC's own vector types.
// defines: lanes, vfloat, FloatsOf, Floats, load_lanes, store_lanes, broadcast, broadcast_pair, simd, interleave, deinterleave, transpose
#pragma once
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "core_dtype.h"

namespace distill {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif

typedef float vfloat __attribute__((vector_size(lanes * sizeof(float))));

template <int Width>
struct FloatsOf {
    typedef float Type __attribute__((vector_size(Width * sizeof(float))));
};
template <>
struct FloatsOf<1> {
    using Type = float;
};
/// `Width` neighbours in one register; a single one is a number, since vectors have two elements or more.
template <int Width>
using Floats = typename FloatsOf<Width>::Type;

/// Reads `lanes` neighbours, of any alignment.
inline vfloat load_lanes(const float* p) {
    vfloat v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
inline void store_lanes(float* p, vfloat v) { std::memcpy(p, &v, sizeof v); }

inline vfloat load_lanes(const bfloat16* p) {
    typedef uint16_t half __attribute__((vector_size(lanes * sizeof(uint16_t))));
    typedef uint32_t word __attribute__((vector_size(lanes * sizeof(uint32_t))));
    half h;
    std::memcpy(&h, p, sizeof h);
    return reinterpret_cast<vfloat>(__builtin_convertvector(h, word) << 16);
}
/// Rounds as bfloat16(float) does: to nearest, ties to even, a NaN stays one; the instruction makes 0 of denormals (below 1.2e-38).
inline void store_lanes(bfloat16* p, vfloat v) {
#ifdef __AVX512BF16__
    const __m256bh h = _mm512_cvtneps_pbh(v);
#else
    typedef uint16_t half __attribute__((vector_size(lanes * sizeof(uint16_t))));
    typedef uint32_t word __attribute__((vector_size(lanes * sizeof(uint32_t))));
    const word u = reinterpret_cast<word>(v);
    const word rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const word nan = reinterpret_cast<word>((u & 0x7fffffffu) > 0x7f800000u);
    const half h = __builtin_convertvector((nan & ((u >> 16) | 0x40u)) | (~nan & rounded), half);
#endif
    std::memcpy(p, &h, sizeof h);
}

inline vfloat broadcast(float value) { return value - vfloat{}; }  // unlike + 0, which makes 0 of −0, no instruction
/// p[0], p[1], p[0], p[1], …
inline vfloat broadcast_pair(const float* p) {
    typedef int64_t vpair __attribute__((vector_size(sizeof(vfloat))));
    int64_t both;
    std::memcpy(&both, p, sizeof both);
    return reinterpret_cast<vfloat>(both | vpair{});
}

namespace simd {
typedef int32_t vindex __attribute__((vector_size(sizeof(vfloat))));
/// Which of two vectors' numbers stand at 0, 1, …: begin, begin + by, begin + 2·by, … and after each of them, if `turns`, its partner of
/// the second vector.
constexpr vindex indices(int begin, int by, bool turns) {
    vindex all = {};
    for (int i = 0; i < lanes; ++i) all[i] = turns ? begin + i / 2 + i % 2 * lanes : begin + by * i;
    return all;
}
}  // namespace simd

/// a[0], b[0], a[1], b[1], …: the first half of that and the second.
inline void interleave(vfloat a, vfloat b, vfloat& low, vfloat& high) {
    low = __builtin_shuffle(a, b, simd::indices(0, 1, true));
    high = __builtin_shuffle(a, b, simd::indices(lanes / 2, 1, true));
}
inline void deinterleave(vfloat low, vfloat high, vfloat& a, vfloat& b) {
    a = __builtin_shuffle(low, high, simd::indices(0, 2, false));
    b = __builtin_shuffle(low, high, simd::indices(1, 2, false));
}

/// Makes rows of columns.
inline void transpose(vfloat (&x)[lanes]) {
    for (int done = 1; done < lanes; done *= 2) {
        vfloat shuffled[lanes];
        for (int i = 0; i < lanes / 2; ++i) interleave(x[i], x[i + lanes / 2], shuffled[2 * i], shuffled[2 * i + 1]);
        for (int i = 0; i < lanes; ++i) x[i] = shuffled[i];
    }
}

}  // namespace distill
