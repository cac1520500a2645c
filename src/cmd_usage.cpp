#include "cmd_usage.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base_error.h"
#include "base_nearest.h"
#include "base_texts.h"

namespace distill {
namespace {

using Names = std::vector<std::string>;

Names subcommands_of(const CLI::App& app) {
    Names names;
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); }))  // "": not for people
        names.push_back(sub->get_name());
    return names;
}

Names options_of(const CLI::App& app) {
    Names names;
    for (const CLI::Option* option : app.get_options())
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    return names;
}

/// "; did you mean --epochs? Valid are: --data, …", without the guess where it would be wild.
std::string offered(const std::string& word, const Names& names) {
    const std::string likely = nearest(word, names, 1).front();
    const bool close = 2 * edit_distance(word, likely) <= word.size();
    return (close ? "; did you mean " + likely + "? Valid are: " : "; valid are: ") + joined(names);
}

}  // namespace

std::string usage_complaint(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App* at = &app;
    std::string path;
    while (!at->get_subcommands().empty()) at = at->get_subcommands().front(), path += at->get_name() + " ";
    const Names subcommands = subcommands_of(*at), unexpected = at->remaining();
    const auto option = std::find_if(unexpected.begin(), unexpected.end(), [](const std::string& s) { return s.compare(0, 1, "-") == 0; });

    std::string what = error.what();
    if (!subcommands.empty() && !unexpected.empty() && option != unexpected.begin()) {
        what = text("unknown subcommand '", unexpected.front(), "'", offered(unexpected.front(), subcommands));
    } else if (option != unexpected.end()) {
        const std::string name = option->substr(0, option->find('='));
        what = text("unknown option ", name, offered(name, options_of(*at)));
    } else if (!unexpected.empty()) {
        what = text("unexpected '", unexpected.front(), "': options begin with --");
    } else if (!subcommands.empty()) {
        what = text("a subcommand is missing; there are: ", joined(subcommands));
    } else {
        for (const CLI::Option* named : at->get_options())  // CLI11 says what it found; what fits is the option's type
            if (what.find(named->get_name() + " = ") != std::string::npos) what += text(", expected ", named->get_type_name());
    }
    if (!path.empty()) what = path.substr(0, path.size() - 1) + ": " + what;
    return text(what, " (", app.get_name(), " ", path, "--help)");
}

}  // namespace distill
