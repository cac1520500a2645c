// train_option_table.h: a subcommand's options as plain data: the command line, --help, config.csv and what each says of a run.
// defines: Range, Role, Places, TableOption, OptionTable
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base_command_line.h"

namespace distill {

/// What a number may be; NaN and infinities never fit.
struct Range {
    double low = std::numeric_limits<double>::lowest(), high = std::numeric_limits<double>::max();
    bool open = false;  ///< `low` itself is left out
};

/// What an option says of a run.
enum class Role {
    substance,     ///< what is run
    circumstance,  ///< where, by what, how watchfully, or as a part of what: kept, but two runs that differ in it alone are one experiment
    driver,        ///< how this process goes about it: not kept
};

/// Where in an option's value the paths stand of files and folders that a run reads. Where they lie is no part of what a run is: their
/// checksums are.
enum class Places {
    none,
    whole,       ///< the value is one
    listed,      ///< a,b
    labelled,    ///< paths that may have a name: a,kd=b
    assigned,    ///< 1=a,2=b; of a run that goes on, those that are not named anew stay
    or_shipped,  ///< a path if it ends in .csv or has a folder, else the name of a shipped graph
};

/// One option. The functions say of what kind it is where it is added: t.add("--device", …).circumstance().opens_session().
struct TableOption {
    TableOption& circumstance() { return role = Role::circumstance, *this; }
    TableOption& driver() { return role = Role::driver, *this; }
    TableOption& subject() { return is_subject = true, *this; }
    TableOption& opens_session() { return session = true, *this; }
    TableOption& own() { return is_own = true, *this; }
    TableOption& said_anew() { return may_be_said_anew = true, *this; }
    TableOption& changing() { return may_change = true, *this; }
    TableOption& place(Places where = Places::whole);
    TableOption& in_epochs() { return counts_epochs = true, *this; }
    TableOption& of_phase() { return is_phase_length = true, *this; }
    TableOption& open(std::string value) { return open_value = std::move(value), *this; }
    TableOption& required() { return is_required = true, *this; }

    bool given() const;  ///< on the command line, itself or as what is swept over
    bool left_open(const std::string& value) const { return !open_value.empty() && value == open_value; }
    /// The value with each path in it, as `places` says, put through `moved`.
    std::string with_places(const std::string& value, const std::function<std::string(const std::string& path)>& moved) const;
    /// Can the values name the same files in other places? What the files hold is compared later.
    bool names_same_files(const std::string& a, const std::string& b) const;

    std::string flag, name;            ///< "--net,--student"; as config.csv has it
    std::string type, expected, help;  ///< for --help and for complaints
    std::vector<std::string> choices;  ///< all that it may be, where that is a list
    std::function<std::string()> get;
    std::vector<std::function<bool(const std::string&)>> set;  ///< one for each field that it is bound to; false: the text does not fit
    std::string initial;                                       ///< its default, whatever recipe and preset say
    std::string otherwise;                                     ///< what it would be if it were not given on the command line
    Role role = Role::substance;
    bool is_switch = false, is_required = false, is_swept = false, is_fixed = false;
    bool is_subject = false;        ///< of which networks, on which images or how exactly: no change of a recipe
    bool session = false;           ///< device and data depend on it
    bool is_own = false;            ///< of this training alone: teachers that are trained first for it do not take it over
    bool may_be_said_anew = false;  ///< of a run that goes on
    bool may_change = false;        ///< in config.csv, between a checkpoint and what goes on from it: no part of what the run computes
    Places places = Places::none;   ///< input files; other than `none` it may change, too
    bool counts_epochs = false;     ///< keeps its part of the training when --epochs is another
    bool is_phase_length = false;   ///< epochs of what a method trains first (Method::phases())
    std::string open_value;         ///< stands for "choose for me", and was chosen when the run began
    CommandOption on_line;
};

/// The options of one subcommand, each bound to a field. Where a value comes from, in falling order: the command line, a
/// resumed run's config.csv, --preset, the default. A value that does not fit is an InputError: option, found, expected.
class OptionTable {
  public:
    /// The reference is good until the next add(). Of a name that is there already: another field that gets the same values, as two
    /// methods of one subcommand share an option; what it may be must be the same.
    TableOption& add(const std::string& flag, std::string& value, const std::string& help);
    /// Networks' names, one or a list; an alias becomes the name (without_aliases()).
    TableOption& add_network(const std::string& flag, std::string& value, const std::string& help);
    TableOption& add(const std::string& flag, int& value, Range range, const std::string& help);
    TableOption& add(const std::string& flag, int64_t& value, Range range, const std::string& help);
    TableOption& add(const std::string& flag, uint64_t& value, const std::string& help);
    TableOption& add(const std::string& flag, double& value, Range range, const std::string& help);
    /// Nothing is "auto".
    TableOption& add(const std::string& flag, std::optional<double>& value, Range range, const std::string& help);
    TableOption& add(const std::string& flag, std::string& value, const std::vector<std::string>& choices, const std::string& help);
    TableOption& add_on_off(const std::string& flag, bool& value, const std::string& help);
    TableOption& add_switch(const std::string& flag, bool& value, const std::string& help);

    /// Takes `value` alone, for command lines that are the same for all methods; not kept. `why` it is no other.
    TableOption& add_fixed(const std::string& flag, double value, const std::string& why);

    /// "" is none.
    TableOption& add(const std::string& flag, std::chrono::seconds& value, const std::string& help);

    /// Binds all of them to a command line; this must outlive its parsing, and gets no more options.
    void attach(Subcommand sub);

    bool has(const std::string& name) const;
    TableOption& at(const std::string& name);
    const TableOption& at(const std::string& name) const;
    const std::vector<TableOption>& options() const { return options_; }
    bool given(const std::string& name) const { return at(name).given(); }
    /// What the option would be if it were not given on the command line: the last that was set, else the default.
    const std::string& otherwise(const std::string& name) const { return at(name).otherwise; }
    /// Sets an option, by default only if it was not given by hand; `origin` (a file, a preset) is named if the text does not fit.
    void set(const std::string& name, const std::string& text, const std::string& origin, bool even_if_given = false);
    /// Changes what an option is, and not what it would be otherwise: what follows from other options.
    void follow(const std::string& name, const std::string& text);
    /// Name (without dashes) and value of every option, as config.csv has them.
    std::vector<std::pair<std::string, std::string>> values() const;
    /// The files and folders that options name for a run to read: option's name and path, one each.
    std::vector<std::pair<std::string, std::string>> inputs() const;
    /// " --data sets --threads 2": what was given by hand otherwise than a run that goes on has it and will have it, for the command that goes
    /// on with it again. Once its options are set.
    std::string given_anew() const;

  private:
    TableOption& bind(const std::string& flag, TableOption option);
    std::vector<TableOption> options_;
};

}  // namespace distill
