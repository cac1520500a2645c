// base_notes.h: lines that tell something and stop nothing.
// defines: tell_once, HeldNotes
#pragma once
#include <atomic>
#include <cstdio>
#include <mutex>
#include <set>
#include <string>

namespace distill {

/// While alive, nothing is told: a training is only checked, and says all of it when it starts.
class HeldNotes {
  public:
    HeldNotes() { ++alive(); }
    ~HeldNotes() { --alive(); }
    HeldNotes(const HeldNotes&) = delete;
    HeldNotes& operator=(const HeldNotes&) = delete;

    static std::atomic<int>& alive() {
        static std::atomic<int> count{0};
        return count;
    }
};

/// Prints the line, unless this process has printed it before: a command starts a training once for each seed, and all of these meet the
/// same files. Any thread may call it.
inline void tell_once(const std::string& line) {
    static std::mutex mutex;
    static std::set<std::string> told;
    const std::lock_guard<std::mutex> guard(mutex);
    if (HeldNotes::alive() == 0 && told.insert(line).second) std::printf("%s\n", line.c_str());
}

}  // namespace distill
