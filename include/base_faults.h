// base_faults.h: what cannot be read of several files, where the rest is shown all the same.
// defines: Faults, read_or_note, fault_lines
#pragma once
#include <exception>
#include <filesystem>
#include <map>
#include <string>

#include "base_texts.h"

namespace distill {

/// Files that could not be read, and why.
using Faults = std::map<std::filesystem::path, std::string>;

/// Calls read(file); what it throws becomes the file's fault.
template <class Read>
void read_or_note(Faults& faults, const std::filesystem::path& file, const Read& read) {
    try {
        read(file);
    } catch (const std::exception& e) {
        faults.emplace(file, e.what());
    }
}

/// "cannot be read: …", a line each.
inline std::string fault_lines(const Faults& faults) {
    std::string all;
    for (const auto& [file, why] : faults) all += "cannot be read: " + printable(why) + '\n';
    return all;
}

}  // namespace distill
