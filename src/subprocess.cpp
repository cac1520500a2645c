#include "subprocess.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"

extern char** environ;

namespace distill {
namespace {

/// Reads until the other end closes; the last line that is not empty.
std::string last_line(int fd) {
    std::string all;
    char buffer[4096];
    for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) != 0;) {
        if (n > 0)
            all.append(buffer, size_t(n));
        else if (errno != EINTR)
            break;
    }
    while (!all.empty() && (all.back() == '\n' || all.back() == '\r')) all.pop_back();
    return all.substr(all.find_last_of("\n\r") + 1);  // npos + 1 == 0
}

}  // namespace

ProgramEnd run_program(const std::vector<std::string>& argv, const std::string& package, bool keep_errors) {
    int ends[2] = {-1, -1};
    if (keep_errors && ::pipe2(ends, O_CLOEXEC) != 0) failure("pipe: ", std::strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (keep_errors) posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    std::vector<char*> args;
    for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
    args.push_back(nullptr);
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, args[0], &actions, nullptr, args.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (keep_errors) ::close(ends[1]);

    ProgramEnd end;
    if (keep_errors) {
        if (error == 0) end.last_error = last_line(ends[0]);
        ::close(ends[0]);
    }
    if (error != 0)
        input_error(argv[0], ": cannot be started (", std::strerror(error), "); install it: apt-get install ", package);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0)
        if (errno != EINTR) failure("waitpid: ", std::strerror(errno));
    end.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return end;
}

}  // namespace distill
