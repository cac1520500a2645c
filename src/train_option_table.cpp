#include "train_option_table.h"

#include <algorithm>
#include <filesystem>

#include "base_command_line.h"
#include "base_error.h"
#include "base_numbers.h"
#include "base_texts.h"
#include "net_name.h"
#include "train_interruption.h"

namespace distill {
namespace {

bool fits(double value, const Range& range) { return value <= range.high && (range.open ? value > range.low : value >= range.low); }

std::string described(const char* kind, const Range& range) {
    const Range any;
    std::string words = kind;
    if (range.low > any.low) words += (range.open ? " above " : " from ") + number(range.low);
    if (range.high < any.high) words += " to " + number(range.high);
    return words + (range.low > any.low && range.high == any.high && !range.open ? " on" : "");
}

template <class T>
std::function<bool(const std::string&)> integer_setter(T& value, Range range) {
    return [&value, range](const std::string& s) {
        T parsed;
        return parse_all(s, parsed) && fits(static_cast<double>(parsed), range) && (value = parsed, true);
    };
}

/// Takes the number as config.csv will have it, so that a resumed run computes with the same one.
bool parse_real(const std::string& s, const Range& range, double& value) {
    double parsed;
    return parse_all(s, parsed) && fits(parsed, range) && parse_all(number(parsed), value);
}

/// Sets every field that the option is bound to.
bool set_all(const std::vector<std::function<bool(const std::string&)>>& fields, const std::string& text) {
    return std::all_of(fields.begin(), fields.end(), [&](const auto& set) { return set(text); });
}

TableOption option_of(const std::string& type, const std::string& expected, const std::string& help, std::function<std::string()> get,
                      std::function<bool(const std::string&)> set) {
    TableOption option;
    option.type = type;
    option.expected = expected;
    option.help = help;
    option.get = std::move(get);
    option.set.push_back(std::move(set));
    return option;
}

template <class T>
TableOption whole(T& value, const Range& range, const std::string& help) {
    return option_of(
        "INT", described("a whole number", range), help, [&value] { return std::to_string(value); }, integer_setter(value, range));
}

TableOption truth(bool& value, const std::string& help) {
    return option_of(
        "on|off", "on or off", help, [&value] { return value ? "on" : "off"; },
        [&value](const std::string& s) { return value = s == "on", s == "on" || s == "off"; });
}

}  // namespace

bool TableOption::given() const { return is_swept || on_line.given(); }

TableOption& TableOption::place(Places where) {
    places = where;
    type = where == Places::or_shipped ? "NAME|PATH" : "PATH";
    return changing();
}

std::string TableOption::with_places(const std::string& value, const std::function<std::string(const std::string&)>& moved) const {
    const std::filesystem::path alone = value;
    if (places == Places::none || (places == Places::or_shipped && alone.extension() != ".csv" && !alone.has_parent_path())) return value;
    const bool named = places == Places::labelled || places == Places::assigned, several = named || places == Places::listed;
    std::vector<std::string> items = several ? split(value, ',') : std::vector<std::string>{value};
    for (std::string& item : items) {
        const size_t path_at = named ? item.find('=') + 1 : 0;  // npos + 1 == 0
        item = item.substr(0, path_at) + moved(item.substr(path_at));
    }
    return joined(items, ",");
}

bool TableOption::names_same_files(const std::string& a, const std::string& b) const {
    if (places == Places::none || places == Places::assigned) return places == Places::assigned;
    const bool several = places == Places::listed || places == Places::labelled;
    return !a.empty() && !b.empty() && (!several || std::count(a.begin(), a.end(), ',') == std::count(b.begin(), b.end(), ','));
}

TableOption& OptionTable::bind(const std::string& flag, TableOption option) {
    option.flag = flag;
    option.name = flag.substr(flag.rfind("--") + 2);
    option.initial = option.otherwise = option.get();
    const auto known = std::find_if(options_.begin(), options_.end(), [&](const TableOption& o) { return o.name == option.name; });
    if (known == options_.end()) return options_.emplace_back(std::move(option));
    if (option.is_fixed) return *known;  // a method beside this one, in a subcommand of several, may have the weight
    if (known->is_fixed) return *known = std::move(option);
    if (known->expected != option.expected) failure("OptionTable: --", option.name, " is ", known->expected, " and ", option.expected);
    known->set.push_back(std::move(option.set.front()));
    return *known;
}

TableOption& OptionTable::add(const std::string& flag, std::string& value, const std::string& help) {
    return bind(flag, option_of(
                          "TEXT", "text", help, [&value] { return value; }, [&value](const std::string& s) { return value = s, true; }));
}
TableOption& OptionTable::add_network(const std::string& flag, std::string& value, const std::string& help) {
    return bind(flag, option_of(
                          "TEXT", "text", help, [&value] { return value; },
                          [&value](const std::string& s) { return value = without_aliases(s), true; }));
}
TableOption& OptionTable::add(const std::string& flag, int& value, Range range, const std::string& help) {
    return bind(flag, whole(value, range, help));
}
TableOption& OptionTable::add(const std::string& flag, int64_t& value, Range range, const std::string& help) {
    return bind(flag, whole(value, range, help));
}
TableOption& OptionTable::add(const std::string& flag, uint64_t& value, const std::string& help) {
    return bind(flag, whole(value, Range{0}, help));
}
TableOption& OptionTable::add(const std::string& flag, double& value, Range range, const std::string& help) {
    return bind(flag, option_of(
                          "NUMBER", described("a number", range), help, [&value] { return number(value); },
                          [&value, range](const std::string& s) { return parse_real(s, range, value); }));
}
TableOption& OptionTable::add(const std::string& flag, std::optional<double>& value, Range range, const std::string& help) {
    return bind(flag, option_of(
                          "NUMBER", "auto, or " + described("a number", range), help, [&value] { return value ? number(*value) : "auto"; },
                          [&value, range](const std::string& s) {
                              if (s == "auto") return value.reset(), true;
                              double parsed;
                              return parse_real(s, range, parsed) && (value = parsed, true);
                          }))
        .open("auto");
}
TableOption& OptionTable::add(const std::string& flag, std::string& value, const std::vector<std::string>& choices,
                              const std::string& help) {
    TableOption option = option_of(
        joined(choices, "|"), "one of " + joined(choices), help, [&value] { return value; },
        [&value, choices](const std::string& s) {
            if (std::find(choices.begin(), choices.end(), s) == choices.end()) return false;
            return value = s, true;
        });
    option.choices = choices;
    return bind(flag, std::move(option));
}
TableOption& OptionTable::add_on_off(const std::string& flag, bool& value, const std::string& help) {
    return bind(flag, truth(value, help));
}
TableOption& OptionTable::add_switch(const std::string& flag, bool& value, const std::string& help) {
    TableOption& option = bind(flag, truth(value, help));
    option.is_switch = true;
    return option;
}

TableOption& OptionTable::add_fixed(const std::string& flag, double value, const std::string& why) {
    const auto is_it = [value](const std::string& s) {
        double parsed;
        return parse_all(s, parsed) && parsed == value;
    };
    const std::string only = number(value);
    TableOption option = option_of(
        "NUMBER", only + ": " + why, why, [only] { return only; }, is_it);
    option.is_fixed = true;
    return bind(flag, std::move(option.driver()));
}

TableOption& OptionTable::add(const std::string& flag, std::chrono::seconds& value, const std::string& help) {
    return bind(flag, option_of(
                          "DURATION", "hours, minutes and seconds as 2h45m, 90m or 30s", help, [&value] { return duration_text(value); },
                          [&value](const std::string& s) {
                              const auto parsed = s.empty() ? std::chrono::seconds(0) : parsed_duration(s);
                              if (parsed) value = *parsed;
                              return parsed.has_value();
                          }));
}

void OptionTable::attach(Subcommand sub) {
    for (TableOption& o : options_) {
        const auto take = [set = o.set, flag = o.flag, expected = o.expected](const std::string& word) {
            if (!set_all(set, word)) input_error(flag, ": found '", word, "', expected ", expected);
        };
        o.on_line = o.is_switch ? sub.take_flag(
                                      o.flag, [set = o.set] { set_all(set, "on"); }, o.help)
                                : sub.take_option(o.flag, take, o.help, o.type, o.get());
        if (o.is_required) o.on_line.required();
    }
}

bool OptionTable::has(const std::string& name) const {
    return std::any_of(options_.begin(), options_.end(), [&](const TableOption& o) { return o.name == name; });
}

const TableOption& OptionTable::at(const std::string& name) const {
    for (const TableOption& o : options_)
        if (o.name == name) return o;
    failure("OptionTable: no option '", name, "'");
}
TableOption& OptionTable::at(const std::string& name) { return const_cast<TableOption&>(static_cast<const OptionTable&>(*this).at(name)); }

void OptionTable::set(const std::string& name, const std::string& text_value, const std::string& origin, bool even_if_given) {
    if (!has(name)) input_error(origin, ": option '", name, "' is none of this subcommand's; was it written by another subcommand?");
    TableOption& o = at(name);
    o.otherwise = text_value;
    if (o.given() && !even_if_given) return;
    if (!set_all(o.set, text_value)) input_error(origin, ": option '", name, "': found '", text_value, "', expected ", o.expected);
}

void OptionTable::follow(const std::string& name, const std::string& text_value) {
    if (!set_all(at(name).set, text_value)) failure("OptionTable: --", name, " cannot be '", text_value, "'");
}

std::vector<std::pair<std::string, std::string>> OptionTable::values() const {
    std::vector<std::pair<std::string, std::string>> rows;
    for (const TableOption& o : options_) rows.emplace_back(o.name, o.get());
    return rows;
}

std::vector<std::pair<std::string, std::string>> OptionTable::inputs() const {
    std::vector<std::pair<std::string, std::string>> all;
    for (const TableOption& o : options_)
        if (o.places != Places::none)
            o.with_places(o.get(), [&](const std::string& path) {
                if (!path.empty()) all.emplace_back(o.name, path);
                return path;
            });
    return all;
}

std::string OptionTable::given_anew() const {
    std::string all;
    for (const TableOption& o : options_)
        if (o.given() && (o.may_change || o.may_be_said_anew) && o.get() != o.otherwise) all += " --" + o.name + " " + shell_word(o.get());
    return all;
}

}  // namespace distill
