// base_error.h: the ways a command ends badly.
// defines: InputError, Interrupted, WriteError, OutOfMemory, text, input_error, failure
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace distill {

/// Bad input or usage. The message is one line for the user: what is wrong, where (file, offset), what was found,
/// what was expected and what to do. main() prints it and exits with 2. Every other std::exception exits with 1.
struct InputError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// SIGINT, SIGTERM or SIGHUP arrived, or --time-limit is near, and a checkpoint was written. main() exits with 3.
struct Interrupted : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A full disk or a device that fails, as base_files.h's cannot_write and cannot_read find it: no fault of the input, nor of the run that
/// met it. Exit code 1.
struct WriteError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A device has no more memory: `found` says what was asked for and what is there. The message adds a training's remedy; who asks for
/// something else says what that is. Exit code 1.
struct OutOfMemory : std::runtime_error {
    explicit OutOfMemory(const std::string& what_was_found)
        : std::runtime_error(what_was_found + "; choose a smaller --batch"), found(what_was_found) {}
    std::string found;
};

/// Concatenates its arguments as operator<< prints them: text("row ", 3) == "row 3".
template <class... Args>
std::string text(const Args&... args) {
    std::ostringstream out;
    (out << ... << args);
    return out.str();
}

template <class... Args>
[[noreturn]] void input_error(const Args&... args) {
    throw InputError(text(args...));
}

/// Something failed that the input is not to blame for (a full disk, a library's error).
template <class... Args>
[[noreturn]] void failure(const Args&... args) {
    throw std::runtime_error(text(args...));
}

}  // namespace distill
