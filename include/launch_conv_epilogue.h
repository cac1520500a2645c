// launch_conv_epilogue.h: what is left to do where a convolution's library did the convolution alone.
// defines: conv_epilogue, conv_epilogue_here, widen
#pragma once
#include "core_backend.h"

namespace distill {

/// y (N,H,W,C of `type`) = max(0, y + bias + residual), as far as the epilogue asks for each; in place.
void conv_epilogue(Backend& backend, const Shape& shape, DType type, const ConvEpilogue& epilogue, void* y);

/// The same at once, by the calling thread and its OpenMP team in the host's memory: for a convolution that is itself what a queue runs.
void conv_epilogue_here(const Shape& shape, DType type, const ConvEpilogue& epilogue, void* y);

/// to = from, `count` elements.
void widen(Backend& backend, int64_t count, const bfloat16* from, float* to);

}  // namespace distill
