// subprocess.h: runs another program, without a shell.
// defines: ProgramEnd, run_program
#pragma once
#include <string>
#include <vector>

namespace distill {

struct ProgramEnd {
    int code = 0;            ///< its exit status; 128 + n if signal n ended it
    std::string last_error;  ///< last line of its standard error, if that was kept
};

/// Runs argv[0], looked up in PATH, to its end. keep_errors: its standard error is read here instead of shown. InputError if there is no
/// such program, naming the Debian `package` that has it.
ProgramEnd run_program(const std::vector<std::string>& argv, const std::string& package, bool keep_errors);

}  // namespace distill
