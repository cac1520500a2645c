// core_dtype.h: what an element of a tensor is.
// defines: DType, bfloat16, bytes_of, type_of, with_type
#pragma once
#include <cstdint>
#include <cstring>

#include "core_host_device.h"

namespace distill {

/// f32: parameters, statistics, losses, and activations unless the precision is bf16; i32: labels and indices.
enum class DType : uint8_t { f32, bf16, i32 };

constexpr int64_t bytes_of(DType type) { return type == DType::bf16 ? 2 : 4; }

/// The upper half of a float: its range at 8 bits of precision. Arithmetic is done in float; storing rounds to nearest, ties to even.
struct bfloat16 {
    uint16_t bits;

    bfloat16() = default;
    DISTILL_HD bfloat16(float value) {
        uint32_t u;
        memcpy(&u, &value, sizeof u);
        const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
        bits = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);  // a NaN stays one
    }
    DISTILL_HD operator float() const {
        const uint32_t u = static_cast<uint32_t>(bits) << 16;
        float value;
        memcpy(&value, &u, sizeof value);
        return value;
    }
};

template <class T>
constexpr DType type_of = DType::i32;
template <>
inline constexpr DType type_of<float> = DType::f32;
template <>
inline constexpr DType type_of<bfloat16> = DType::bf16;

/// Calls f(T{}) with T = bfloat16 or float, as `type` says: how an operation picks the functor for its tensors.
template <class F>
void with_type(DType type, const F& f) {
    type == DType::bf16 ? f(bfloat16{}) : f(float{});
}

}  // namespace distill
