// net_onnx.h: a trained network as an ONNX model, by the ONNX project's own definitions, so that others can use it.
// defines: has_onnx, require_onnx, onnx_packages, onnx_beginning, onnx_model
#pragma once
#include <map>
#include <string>

#include "core_shape.h"
#include "net.h"

namespace distill {

/// Was the program built with ONNX?
bool has_onnx();
/// InputError that names the packages where it was not.
void require_onnx();
inline constexpr const char* onnx_packages = "libonnx-dev libprotobuf-dev";  ///< Debian's, to build with it
inline constexpr const char* onnx_beginning =
    "\x08\x08\x12\x07"
    "distill";  ///< of each file's bytes: format 8, by this program

/// The bytes of a model of opset 17: `input` (N,3,h,w) float, N free, to `logits` (N,classes). Its operations are those of a forward pass in
/// evaluation (Trace), so a network needs nothing of its own for it; BatchNorm is BatchNormalization in inference form, and weights keep their
/// names. `image` (1,h,w,3). The `metadata` become the model's. Checked by the project's checker, shapes included. `parameters` hold the network's
/// weights under no prefix, on a CPU, in float. InputError without ONNX, and for a model beyond 2 GiB, which the format cannot hold.
std::string onnx_model(const Network& network, const Parameters& parameters, const Shape& image,
                       const std::map<std::string, std::string>& metadata);

}  // namespace distill
