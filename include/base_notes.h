// base_notes.h: lines that tell something and stop nothing.
// defines: tell_once
#pragma once
#include <cstdio>
#include <mutex>
#include <set>
#include <string>

namespace distill {

/// Prints the line, unless this process has printed it before: a command checks a training and then starts it, once for each seed, and all
/// of these meet the same files. Any thread may call it.
inline void tell_once(const std::string& line) {
    static std::mutex mutex;
    static std::set<std::string> told;
    const std::lock_guard<std::mutex> guard(mutex);
    if (told.insert(line).second) std::printf("%s\n", line.c_str());
}

}  // namespace distill
