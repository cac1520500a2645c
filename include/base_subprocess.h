// base_subprocess.h: runs another program, without a shell.
// defines: ProgramEnd, run_program, Subprocess
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace distill {

struct ProgramEnd {
    int code = 0;        ///< its exit status; 128 + n if signal n ended it
    std::string errors;  ///< its standard error without the ends of its last lines, if that was kept
    std::string last_error() const { return errors.substr(errors.find_last_of("\n\r") + 1); }  ///< its last line; npos + 1 == 0
};

/// Runs argv[0], looked up in PATH, to its end, with nothing to read and English messages. keep_errors: its standard error is read here instead
/// of shown. InputError if there is no such program, naming the Debian `package` that has it.
ProgramEnd run_program(const std::vector<std::string>& argv, const std::string& package, bool keep_errors);

/// A program at work beside this one, spoken to line by line: its standard input and output are one socket. It has a process group of its
/// own, so that a Ctrl-C at the terminal reaches this process alone, which then says what is to be done.
class Subprocess {
  public:
    /// `variables`: "NAME=value", in place of the environment's. InputError if it cannot be started.
    explicit Subprocess(const std::vector<std::string>& argv, const std::vector<std::string>& variables = {});
    ~Subprocess();  ///< ends it (SIGKILL) if nobody waited for it
    Subprocess(const Subprocess&) = delete;
    Subprocess& operator=(const Subprocess&) = delete;

    int socket() const { return socket_; }  ///< to poll for input
    void send(const std::string& line);     ///< without its end. Nothing happens if the program is gone; receive() will tell
    /// Appends the whole lines that have come, waiting if there is nothing at all. False when the program has closed its output.
    bool receive(std::vector<std::string>& lines);
    /// How it ended, which is waited for.
    struct End {
        int code = 0;     ///< exit status; 128 + n if signal n ended it
        std::string how;  ///< "signal 9" or "exit code 2"
    };
    End wait();

  private:
    pid_t child_ = -1;  ///< none after it was waited for
    End end_;
    int socket_ = -1;
    std::string partial_;  ///< received, without its line end yet
};

}  // namespace distill
