// cmd_weights.h: the subcommands `weights show|convert|export`.
// defines: export_model, add_weights_commands
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace distill {

class Subcommand;

/// Writes the network of a weight file as an ONNX model, and a line of it. `network`: empty: what the file says; `size` of the images: 0: 32, of
/// a -tiny 64. InputError for a file of another network or kind, a place that takes no model, and a program without ONNX; nothing is then written.
void export_model(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& network, int64_t size);

/// Registers `weights` and its subcommands under `app`; each one's callback does its work while `app` parses and throws what that throws.
void add_weights_commands(Subcommand app);

}  // namespace distill
