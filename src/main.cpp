// main.cpp: the table of subcommands, and how each ends: 0 done, 1 failed, 2 bad input or usage, 3 interrupted with a checkpoint written.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "bench.h"
#include "data_commands.h"
#include "error.h"
#include "report.h"
#include "training_commands.h"

int main(int argc, char** argv) {
    CLI::App app("distill: knowledge transfer between neural networks: KTG, FEED, MHGD, ReviewKD");
    app.require_subcommand(1);
    app.failure_message(CLI::FailureMessage::simple);
    distill::add_data_commands(app);
    distill::add_training_commands(app);
    distill::add_report_command(app);
    distill::add_bench_command(app);
    try {
        app.parse(argc, argv);
        return 0;
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : 2;
    } catch (const distill::InputError& e) {
        std::fprintf(stderr, "distill: %s\n", e.what());
        return 2;
    } catch (const distill::Interrupted& e) {
        std::fprintf(stderr, "distill: %s\n", e.what());
        return 3;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "distill: %s\n", e.what());
        return 1;
    }
}
