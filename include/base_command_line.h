// base_command_line.h: a program's subcommands with their options, and what is wrong with a command line. By CLI11, which no other file knows.
// defines: CommandOption, Subcommand, CommandLine
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace distill {

/// An option where it is added: sub.add_option("--size", size, "side of the images").within(4, 4096).shows_default(). A handle, to be copied.
class CommandOption {
  public:
    CommandOption() = default;  ///< of no command line: not given
    explicit CommandOption(CLI::Option* option) : option_(option) {}

    CommandOption required() const;
    CommandOption shows_default() const;  ///< --help has the variable's value as it is now
    CommandOption within(int low, int high) const;
    CommandOption one_of(const std::vector<std::string>& words) const;
    CommandOption at_least(int words) const;  ///< a list of so many or more
    CommandOption one_word_each() const;      ///< a list, named again before each of its words
    bool given() const;

  private:
    CLI::Option* option_ = nullptr;
};

/// A subcommand, or the program itself. A handle, to be copied: what it stands for lives as long as the CommandLine.
class Subcommand {
  public:
    Subcommand add_subcommand(const std::string& name, const std::string& about) const;
    std::optional<Subcommand> find(const std::string& path) const;  ///< "feed parallel", from here
    bool has_option(const std::string& name) const;                 ///< "--preset"
    bool passes_on() const;                                         ///< one of its own subcommands was asked for

    void require_subcommand() const;                  ///< one of its own must be named
    void hide() const;                                ///< from --help and complaints: not for people
    void footer(const std::string& text) const;       ///< under --help
    void callback(std::function<void()> work) const;  ///< runs once the line is read

    /// `name`: "--net,--student", or a word without dashes for what has none. `value` is written when the line is read. T: std::string, int,
    /// int64_t, uint64_t, double, std::filesystem::path, or a vector of strings or paths.
    template <class T>
    CommandOption add_option(const std::string& name, T& value, const std::string& help) const;
    CommandOption add_flag(const std::string& name, bool& value, const std::string& help) const;
    /// The same for what is no variable. `take` gets the last word given, and may throw; --help calls it `type`, with `otherwise` as default.
    CommandOption take_option(const std::string& name, std::function<void(const std::string&)> take, const std::string& help,
                              const std::string& type, const std::string& otherwise) const;
    CommandOption take_flag(const std::string& name, std::function<void()> take, const std::string& help) const;

  protected:
    explicit Subcommand(CLI::App* app) : app_(app) {}
    CLI::App* app_;
};

/// The program's command line. What its options are bound to must live until it is read.
class CommandLine : public Subcommand {
  public:
    explicit CommandLine(const std::string& about = "", const std::string& name = "");
    ~CommandLine();

    void version(const std::string& text) const;  ///< --version prints it
    /// Reads the words behind the program's name, then runs the subcommand's callback and throws what that throws; of --help and --version
    /// prints what they ask for. InputError for a wrong line: the subcommand, what was found, the valid names (and the nearest, where one was
    /// misspelt), and where help is.
    void run(const std::vector<std::string>& words) const;

  private:
    std::unique_ptr<CLI::App> root_;
};

}  // namespace distill
