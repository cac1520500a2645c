// complaints.h: checks on messages, and files to complain about.
// defines: testing::put_file, testing::complaint, testing::holds, testing::says
#pragma once
#include <fstream>
#include <string>
#include <vector>

#include "base_error.h"
#include "testing.h"

namespace distill::testing {

/// Writes a file, and the folders that it needs.
inline void put_file(const fs::path& path, const std::string& bytes) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
}

/// The message of the Error that `run` throws, checked to be one line; empty if it throws none.
template <class Error = InputError, class Run>
std::string complaint(Run run) {
    try {
        run();
    } catch (const Error& error) {
        const std::string message = error.what();
        CHECK(message.find('\n') == std::string::npos);
        return message;
    }
    return "";
}

/// Whether the text has that part.
inline bool holds(const std::string& all, const std::string& part) { return all.find(part) != std::string::npos; }

/// Whether the message has all these parts; prints those it has not.
inline bool says(const std::string& message, const std::vector<std::string>& parts) {
    bool all = true;
    for (const std::string& part : parts) {
        if (holds(message, part)) continue;
        MESSAGE("'", part, "' is missing in: ", message);
        all = false;
    }
    return all;
}

}  // namespace distill::testing
