#include "base_subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base_error.h"

extern char** environ;

namespace distill {
namespace {

/// Reads until the other end closes; without the ends of its last lines.
std::string read_all(int fd) {
    std::string all;
    char buffer[4096];
    for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) != 0;) {
        if (n > 0)
            all.append(buffer, size_t(n));
        else if (errno != EINTR)
            break;
    }
    while (!all.empty() && (all.back() == '\n' || all.back() == '\r')) all.pop_back();
    return all;
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
    std::vector<char*> result;
    for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
    result.push_back(nullptr);
    return result;
}

/// These before the environment's: the first of a name counts.
std::vector<std::string> with_variables(std::vector<std::string> variables) {
    for (char** variable = environ; *variable; ++variable) variables.emplace_back(*variable);
    return variables;
}

int wait_for(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0)
        if (errno != EINTR) failure("waitpid: ", std::strerror(errno));
    return status;
}

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

/// Fails where the machine is short of processes or memory; else the program is at fault, and `advice` says what to do.
[[noreturn]] void not_started(const std::string& program, int error, const std::string& advice) {
    const std::string what = text(program, ": cannot be started (", std::strerror(error), ")");
    if (error == EAGAIN || error == ENOMEM) failure(what);
    input_error(what, advice);
}

}  // namespace

ProgramEnd run_program(const std::vector<std::string>& argv, const std::string& package, bool keep_errors) {
    int ends[2] = {-1, -1};
    if (keep_errors && ::pipe2(ends, O_CLOEXEC) != 0) failure("pipe: ", std::strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);  // a question nobody sees gets no answer
    if (keep_errors) posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    const std::vector<std::string> environment = with_variables({"LC_ALL=C"});
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, argv[0].c_str(), &actions, nullptr, pointers(argv).data(), pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    if (keep_errors) ::close(ends[1]);

    ProgramEnd end;
    if (keep_errors) {
        if (error == 0) end.errors = read_all(ends[0]);
        ::close(ends[0]);
    }
    if (error != 0) not_started(argv[0], error, "; install it: apt-get install " + package);
    end.code = code_of(wait_for(child));
    return end;
}

Subprocess::Subprocess(const std::vector<std::string>& argv, const std::vector<std::string>& variables) {
    int ends[2];
    // Closed on exec: were another program to hold the parent's end too, this one would not see the parent die.
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) failure("socketpair: ", std::strerror(errno));
    socket_ = ends[0];
    const std::vector<std::string> environment = with_variables(variables);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO}) posix_spawn_file_actions_adddup2(&actions, ends[1], standard);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int error = ::posix_spawnp(&child_, argv[0].c_str(), &actions, &attributes, pointers(argv).data(), pointers(environment).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (error == 0) return;
    ::close(socket_);
    not_started(argv[0], error, "");
}

Subprocess::~Subprocess() {
    if (child_ > 0) ::kill(child_, SIGKILL), ::waitpid(child_, nullptr, 0);
    ::close(socket_);
}

void Subprocess::send(const std::string& line) {
    const std::string bytes = line + "\n";
    for (size_t sent = 0; sent < bytes.size();) {
        const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) return;
        if (n > 0) sent += static_cast<size_t>(n);
    }
}

bool Subprocess::receive(std::vector<std::string>& lines) {
    char buffer[4096];
    const ssize_t n = ::recv(socket_, buffer, sizeof buffer, 0);
    if (n <= 0) return n < 0 && errno == EINTR;
    partial_.append(buffer, static_cast<size_t>(n));
    for (size_t end; (end = partial_.find('\n')) != std::string::npos; partial_.erase(0, end + 1)) lines.push_back(partial_.substr(0, end));
    return true;
}

Subprocess::End Subprocess::wait() {
    if (child_ < 0) return end_;
    const int status = wait_for(std::exchange(child_, -1));
    end_ = {code_of(status), WIFEXITED(status) ? text("exit code ", WEXITSTATUS(status)) : text("signal ", WTERMSIG(status))};
    return end_;
}

}  // namespace distill
