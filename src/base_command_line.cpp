#include "base_command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "base_error.h"
#include "base_nearest.h"
#include "base_numbers.h"
#include "base_texts.h"

namespace distill {
namespace {

using Names = std::vector<std::string>;

Names subcommands_of(const CLI::App& app) {
    Names names;
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); }))  // "": hidden
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

std::string complaint(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App* at = &app;
    std::string path;
    while (!at->get_subcommands().empty()) at = at->get_subcommands().front(), path += at->get_name() + " ";
    const Names subcommands = subcommands_of(*at), unexpected = at->remaining();
    const auto option = std::find_if(unexpected.begin(), unexpected.end(), [](const std::string& s) { return starts_with(s, "-"); });

    std::string what = error.what();
    if (!subcommands.empty() && !unexpected.empty() && option != unexpected.begin()) {
        what = text("unknown subcommand '", unexpected.front(), "'", offered(unexpected.front(), subcommands));
    } else if (option != unexpected.end()) {
        const std::string name = option->substr(0, option->find('='));
        what = text("unknown option ", name, offered(name, options_of(*at)));
    } else if (!unexpected.empty()) {
        what = text("unexpected '", unexpected.front(), "': options begin with --");
    } else if (!subcommands.empty() && at->get_require_subcommand_min() > 0) {
        what = text("a subcommand is missing; there are: ", joined(subcommands));
    } else {
        for (const CLI::Option* named : at->get_options())  // CLI11 says what it found; what fits is the option's type
            if (what.find(named->get_name() + " = ") != std::string::npos) what += text(", expected ", named->get_type_name());
    }
    if (!path.empty()) what = path.substr(0, path.size() - 1) + ": " + what;
    return text(what, " (", app.get_name(), " ", path, "--help)");
}

/// The line as CLI11 is to read it: it would take the next option for a value that is missing, and the next word for one that is empty
/// (--x=). InputError for the first.
Names with_values(const CLI::App& root, const Names& words) {
    const CLI::App* at = &root;
    std::string path;
    const auto option_of = [&](const std::string& word) {
        return starts_with(word, "--") ? at->get_option_no_throw(word.substr(0, word.find('='))) : nullptr;
    };
    Names all;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        const CLI::Option* const option = option_of(word);
        const bool takes_value = option && option->get_items_expected_min() > 0;
        if (!option) {
            const auto named = at->get_subcommands([&](const CLI::App* sub) { return sub->get_name() == word; });
            if (!named.empty()) at = named.front(), path += word + " ";
            all.push_back(word);
        } else if (!takes_value || word.find('=') + 1 < word.size()) {  // npos + 1 == 0
            all.push_back(word);
            if (!takes_value || word.find('=') != std::string::npos) continue;
            if (i + 1 == words.size()) continue;                                                      // CLI11 says so
            const bool any_word = option->get_expected_max() > 1 && !option->get_allow_extra_args();  // one_word_each()
            if (!any_word && option_of(words[i + 1]))
                throw InputError(text(path.substr(0, path.size() - std::min<size_t>(path.size(), 1)), path.empty() ? "" : ": ", word,
                                      ": its value is missing, there is the option ", words[i + 1], " (", root.get_name(), " ", path,
                                      "--help)"));
            all.push_back(words[++i]);
        } else {
            all.push_back(word.substr(0, word.size() - 1));
            all.push_back("");
        }
    }
    return all;
}

/// Whole numbers as the option table reads them: CLI11 takes −1 for the largest unsigned one, and 010 for 8.
template <class T>
void read_decimal(CLI::Option* option) {
    if constexpr (std::is_integral_v<T>)
        option->check([](const std::string& word) {
            T value;
            const bool decimal = parse_all(word, value) && (word.size() == 1 || word[0] != '0');
            const bool number = !word.empty() && word.find_first_not_of("+-0123456789") == std::string::npos;  // the rest CLI11 refuses
            return decimal || !number ? "" : text("found '", word, "', expected a whole number in range");
        });
}

}  // namespace

CommandOption CommandOption::required() const { return CommandOption(option_->required()); }
CommandOption CommandOption::shows_default() const { return CommandOption(option_->capture_default_str()); }
CommandOption CommandOption::within(int low, int high) const { return CommandOption(option_->check(CLI::Range(low, high))); }
CommandOption CommandOption::one_of(const Names& words) const { return CommandOption(option_->check(CLI::IsMember(words))); }
CommandOption CommandOption::at_least(int words) const {
    return CommandOption(option_->expected(words, CLI::detail::expected_max_vector_size));
}
CommandOption CommandOption::one_word_each() const { return CommandOption(option_->allow_extra_args(false)); }
bool CommandOption::given() const { return option_ && option_->count() > 0; }

Subcommand Subcommand::add_subcommand(const std::string& name, const std::string& about) const {
    return Subcommand(app_->add_subcommand(name, about));
}

std::optional<Subcommand> Subcommand::find(const std::string& path) const {
    CLI::App* found = app_;
    for (const std::string& name : split(path, ' ')) {
        const auto named = found->get_subcommands([&](const CLI::App* sub) { return sub->get_name() == name; });
        if (named.empty()) return std::nullopt;
        found = named.front();
    }
    return Subcommand(found);
}

bool Subcommand::has_option(const std::string& name) const { return app_->get_option_no_throw(name) != nullptr; }
bool Subcommand::passes_on() const { return !app_->get_subcommands().empty(); }

void Subcommand::require_subcommand() const { app_->require_subcommand(1); }
void Subcommand::hide() const { app_->group(""); }
void Subcommand::footer(const std::string& text) const { app_->footer(text); }
void Subcommand::callback(std::function<void()> work) const { app_->callback(std::move(work)); }

template <class T>
CommandOption Subcommand::add_option(const std::string& name, T& value, const std::string& help) const {
    CLI::Option* const option = app_->add_option(name, value, help);
    read_decimal<T>(option);
    return CommandOption(option);
}
template CommandOption Subcommand::add_option(const std::string&, std::string&, const std::string&) const;
template CommandOption Subcommand::add_option(const std::string&, int&, const std::string&) const;
template CommandOption Subcommand::add_option(const std::string&, int64_t&, const std::string&) const;
template CommandOption Subcommand::add_option(const std::string&, uint64_t&, const std::string&) const;
template CommandOption Subcommand::add_option(const std::string&, double&, const std::string&) const;
template CommandOption Subcommand::add_option(const std::string&, std::filesystem::path&, const std::string&) const;
template CommandOption Subcommand::add_option(const std::string&, std::vector<std::string>&, const std::string&) const;
template CommandOption Subcommand::add_option(const std::string&, std::vector<std::filesystem::path>&, const std::string&) const;

CommandOption Subcommand::add_flag(const std::string& name, bool& value, const std::string& help) const {
    return CommandOption(app_->add_flag(name, value, help));
}

CommandOption Subcommand::take_option(const std::string& name, std::function<void(const std::string&)> take, const std::string& help,
                                      const std::string& type, const std::string& otherwise) const {
    const auto last = [take = std::move(take)](const CLI::results_t& words) { return take(words.back()), true; };
    return CommandOption(app_->add_option(name, last, help)->type_name(type)->default_str(otherwise)->expected(1)->take_last());
}

CommandOption Subcommand::take_flag(const std::string& name, std::function<void()> take, const std::string& help) const {
    return CommandOption(app_->add_flag_callback(name, std::move(take), help));
}

CommandLine::CommandLine(const std::string& about, const std::string& name) : Subcommand(new CLI::App(about, name)), root_(app_) {}
CommandLine::~CommandLine() = default;

void CommandLine::version(const std::string& text) const { root_->set_version_flag("--version", text); }

void CommandLine::run(const std::vector<std::string>& words) const {
    try {
        const Names read = with_values(*root_, words);
        root_->parse(Names(read.rbegin(), read.rend()));  // CLI11 wants the last word first
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() != 0) throw InputError(complaint(*root_, e));
        root_->exit(e);
    }
}

}  // namespace distill
