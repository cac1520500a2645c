// main.cpp: the table of subcommands, and how each ends: 0 done, 1 failed, 2 bad input or usage, 3 interrupted with a checkpoint written.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "base_command_line.h"
#include "base_error.h"
#include "base_texts.h"
#include "base_version.h"
#include "bench.h"
#include "cmd_compare.h"
#include "cmd_data.h"
#include "cmd_ktg_search.h"
#include "cmd_paper.h"
#include "cmd_report.h"
#include "cmd_training.h"
#include "cmd_watch.h"
#include "cmd_weights.h"
#include "cpu_waiting_threads.h"
#include "train_interruption.h"

namespace {

/// A complaint is one printable line, whatever is in the names that it quotes.
int ended(std::string message, int code) {
    std::replace_if(
        message.begin(), message.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    std::fprintf(stderr, "distill: %s\n", message.empty() ? "failed, and does not say why" : distill::printable(message).c_str());
    return code;
}

/// What was said must have arrived: a pipe or a file may have been full long before.
int done() {
    errno = 0;
    std::cout.flush();
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return 0;
    const std::string reason = errno == 0 ? "" : distill::text(" (", std::strerror(errno), ")");  // an earlier write may have met it
    return ended("the standard output cannot be written" + reason, 1);
}

/// A path that the system will not even look at was given by somebody; the rest is the machine's failure.
int ended(const std::filesystem::filesystem_error& error) {
    for (const std::errc names : {std::errc::filename_too_long, std::errc::too_many_symbolic_link_levels, std::errc::permission_denied})
        if (error.code() == names) return ended(error.path1().string() + ": cannot be looked at (" + error.code().message() + ")", 2);
    return ended(error.what(), 1);
}

/// Opens what the caller has closed of standard input, output and error: else a run's file would have its number, and get what is printed.
void keep_standard_streams() {
    int fd;
    do fd = ::open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
    keep_standard_streams();
    distill::let_threads_wait_quietly(argv);
    distill::CommandLine line("distill: knowledge transfer between neural networks: KTG, FEED, MHGD, ReviewKD", "distill");
    line.require_subcommand();
    line.footer("Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 interrupted with a checkpoint written.");
    line.version("distill " + distill::commit());
    distill::add_data_commands(line);
    distill::add_training_commands(line);
    distill::add_search_commands(line);
    distill::add_weights_commands(line);
    distill::add_report_command(line);
    distill::add_compare_command(line);
    distill::add_watch_command(line);
    distill::add_bench_command(line);
    distill::add_paper_commands(line, argc > 0 ? argv[0] : "distill");
    try {
        line.run({argv + std::min(argc, 1), argv + argc});
        return done();
    } catch (const distill::InputError& e) {
        return ended(e.what(), 2);
    } catch (const distill::Interrupted& e) {
        return ended((distill::time_is_up() ? "--time-limit: " : "") + std::string(e.what()), 3);
    } catch (const std::filesystem::filesystem_error& e) {
        return ended(e);
    } catch (const std::exception& e) {
        return ended(e.what(), 1);
    }
}
