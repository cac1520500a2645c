// main.cpp: the table of subcommands, and how each ends: 0 done, 1 failed, 2 bad input or usage, 3 interrupted with a checkpoint written.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include "bench.h"
#include "data_commands.h"
#include "error.h"
#include "feed_commands.h"
#include "ktg_commands.h"
#include "mhgd_commands.h"
#include "report.h"
#include "training_commands.h"
#include "usage.h"

namespace {

/// A complaint is one line, whatever is in the names that it quotes.
int ended(std::string message, int code) {
    std::replace(message.begin(), message.end(), '\n', ' ');
    std::fprintf(stderr, "distill: %s\n", message.c_str());
    return code;
}

/// A path that the system will not even look at was given by somebody; the rest is the machine's failure.
int ended(const std::filesystem::filesystem_error& error) {
    for (const std::errc names : {std::errc::filename_too_long, std::errc::too_many_symbolic_link_levels, std::errc::permission_denied})
        if (error.code() == names) return ended(error.path1().string() + ": cannot be looked at (" + error.code().message() + ")", 2);
    return ended(error.what(), 1);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("distill: knowledge transfer between neural networks: KTG, FEED, MHGD, ReviewKD", "distill");
    app.require_subcommand(1);
    distill::add_data_commands(app);
    distill::add_training_commands(app);
    distill::add_feed_commands(app);
    distill::add_ktg_commands(app);
    distill::add_mhgd_command(app);
    distill::add_report_command(app);
    distill::add_bench_command(app);
    try {
        app.parse(argc, argv);
        return 0;
    } catch (const CLI::ParseError& e) {
        return e.get_exit_code() == 0 ? app.exit(e) : ended(distill::usage_complaint(app, e), 2);
    } catch (const distill::InputError& e) {
        return ended(e.what(), 2);
    } catch (const distill::Interrupted& e) {
        return ended(e.what(), 3);
    } catch (const std::filesystem::filesystem_error& e) {
        return ended(e);
    } catch (const std::exception& e) {
        return ended(e.what(), 1);
    }
}
