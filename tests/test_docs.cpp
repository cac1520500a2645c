// The documents beside the code: what cites what must be there, and what there is must be named.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base_files.h"
#include "base_texts.h"
#include "command.h"
#include "method_table.h"
#include "testing.h"

namespace fs = std::filesystem;
using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string document = "docs/papers.md";
const std::string sign = "§";

fs::path project() { return fs::path(__FILE__).parent_path() / ".."; }

/// The sources below these folders, but for this test.
std::vector<fs::path> sources(const std::vector<std::string>& folders) {
    std::vector<fs::path> files;
    for (const std::string& folder : folders)
        for (const auto& entry : fs::recursive_directory_iterator(project() / folder)) {
            const std::string kind = entry.path().extension();
            const bool code = kind == ".h" || kind == ".cpp" || kind == ".cu" || kind == ".py" || kind == ".sh";
            if (code && entry.path().filename() != "test_docs.cpp") files.push_back(entry.path());
        }
    return files;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// "4.5" at `at`, which moves behind it; empty if there is none. A point that no digit follows ends a sentence.
std::string take_section(const std::string& text, size_t& at) {
    const auto digit = [&](size_t i) { return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])); };
    const size_t begin = at;
    while (digit(at) || (at > begin && at < text.size() && text[at] == '.' && digit(at + 1))) ++at;
    return text.substr(begin, at - begin);
}

/// The numbers of the document's headings.
std::vector<std::string> headings(const std::string& text) {
    std::vector<std::string> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        size_t at = line.find_first_not_of('#');
        if (at == 0 || at == std::string::npos) continue;
        if (const std::string section = take_section(line, ++at); !section.empty()) found.push_back(section);
    }
    return found;
}

/// A source's text, a comment of several lines as one: `make format` breaks them anywhere.
std::string unbroken(const std::string& code) {
    std::string text;
    std::istringstream lines(code);
    bool in_comment = false;
    for (std::string line; std::getline(lines, line);) {
        const size_t begin = line.find_first_not_of(' ');
        const bool comment = begin != std::string::npos && line.compare(begin, 2, "//") == 0;
        const size_t words = comment ? line.find_first_not_of("/ ", begin) : 0;
        if (!text.empty()) text += comment && in_comment ? ' ' : '\n';
        if (words != std::string::npos) text += comment && in_comment ? line.substr(words) : line;
        in_comment = comment;
    }
    return text;
}

/// What each mention of the document cites: "docs/papers.md §2.2, §2.3" and "§4 and §6.8" cite two sections, a mention without any "".
std::vector<std::string> citations(const std::string& text) {
    std::vector<std::string> found;
    for (size_t at = text.find(document); at != std::string::npos; at = text.find(document, at)) {
        at += document.size();
        size_t cited = 0;
        for (std::string between = " "; text.compare(at, between.size() + sign.size(), between + sign) == 0; ++cited) {
            at += between.size() + sign.size();
            found.push_back(take_section(text, at));
            between = text.compare(at, 5, " and ") == 0 ? " and " : ", ";
        }
        if (cited == 0) found.emplace_back();
    }
    return found;
}

/// The texts between backquotes.
std::vector<std::string> quoted(const std::string& text) {
    std::vector<std::string> found;
    for (size_t open = text.find('`'); open != std::string::npos; open = text.find('`', open)) {
        const size_t close = text.find('`', open + 1);
        if (close == std::string::npos) break;
        found.push_back(text.substr(open + 1, close - open - 1));
        open = close + 1;
    }
    return found;
}

std::set<std::string> words_of_headers() {
    std::set<std::string> words;
    for (const fs::path& file : sources({"include"})) {
        const std::string text = read_file(file);
        for (size_t at = 0, end; at < text.size(); at = end + 1) {
            for (end = at; end < text.size() && is_word(text[end]);) ++end;
            if (end > at) words.insert(text.substr(at, end - at));
        }
    }
    return words;
}

/// "--name" for each in a text.
std::set<std::string> options_in(const std::string& text) {
    std::set<std::string> options;
    for (size_t at = text.find("--"); at != std::string::npos; at = text.find("--", at)) {
        size_t end = at + 2;
        while (end < text.size() && (std::islower(static_cast<unsigned char>(text[end])) || text[end] == '-')) ++end;
        if (end > at + 2) options.insert(text.substr(at, end - at));
        at = end;
    }
    return options;
}

/// The words of `name()`, `Name` and `Name::member()`; of anything else none.
std::set<std::string> names_in(const std::string& code) {
    const bool call = code.size() > 2 && ends_with(code, "()");
    const std::string name = call ? code.substr(0, code.size() - 2) : code;
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return is_word(c) || c == ':'; });
    if (!plain || !(call || std::isupper(static_cast<unsigned char>(name[0])))) return {};
    std::set<std::string> words;
    for (const std::string& word : split(name, ':'))
        if (!word.empty()) words.insert(word);
    return words;
}

/// The cells of the table's rows whose first cell is a section: §1.3, a row a method.
std::vector<std::vector<std::string>> method_rows(const std::string& text) {
    std::vector<std::vector<std::string>> rows;
    const size_t begin = text.find("\n### 1.3 "), end = text.find("\n### 1.4 ");
    std::istringstream lines(text.substr(begin, end - begin));
    for (std::string line; std::getline(lines, line);) {
        const std::vector<std::string> cells = split(line, '|');
        if (cells.size() > 6 && cells[1].size() > 1 && std::isdigit(static_cast<unsigned char>(cells[1][1]))) rows.push_back(cells);
    }
    return rows;
}

/// Does a text name this subcommand: `kd`, `kd --method ab`, "distill kd …"?
bool names_subcommand(const std::string& text, const std::string& name) {
    const std::vector<std::string> codes = quoted(text);
    const auto is_its = [&](const std::string& code) { return code == name || starts_with(code, name + ' '); };
    return std::any_of(codes.begin(), codes.end(), is_its) || text.find("distill " + name + ' ') != std::string::npos;
}

std::string trimmed(const std::string& s) {
    const size_t begin = s.find_first_not_of(' ');
    return begin == std::string::npos ? "" : s.substr(begin, s.find_last_not_of(' ') - begin + 1);
}

}  // namespace

TEST_CASE("paper: every section of docs/papers.md that is cited is there") {
    const std::string text = read_file(project() / document);
    const std::vector<std::string> all = headings(text);
    const std::set<std::string> sections(all.begin(), all.end());
    CHECK(sections.size() == all.size());  // none twice
    REQUIRE(sections.count("4.5") == 1);
    for (size_t at = text.find(sign); at != std::string::npos; at = text.find(sign, at)) {
        at += sign.size();
        const std::string section = take_section(text, at);
        if (!section.empty()) CHECK_MESSAGE(sections.count(section) == 1, document, " cites its own section ", section);
    }
    size_t cited = 0;
    for (const fs::path& file : sources({"include", "src", "tests", "tools"}))
        for (const std::string& section : citations(unbroken(read_file(file)))) {
            CHECK_MESSAGE(sections.count(section) == 1, file.string(), " cites '", document, " ", sign, section,
                          "': name a section that is there");
            ++cited;
        }
    CHECK(cited > 0);
}

TEST_CASE("paper: citations are read as they are written") {
    CHECK(citations("as in docs/papers.md §4.5. Then") == std::vector<std::string>{"4.5"});
    CHECK(citations("(docs/papers.md §2.2, §2.3), docs/papers.md §4 and §6.8;") == std::vector<std::string>{"2.2", "2.3", "4", "6.8"});
    CHECK(citations("see docs/papers.md") == std::vector<std::string>{""});
    CHECK(citations(unbroken("/// see docs/papers.md\n    /// §4, §5\nint x;  // §6")) == std::vector<std::string>{"4", "5"});
    CHECK(citations(unbroken("// docs/papers.md\n\n// §4")) == std::vector<std::string>{""});
    CHECK(headings("# Title\n## 1 One\n### 1.10 Ten\n#include\ntext 2\n") == std::vector<std::string>{"1", "1.10"});
}

TEST_CASE("paper: files, options and names in docs/papers.md are there") {
    std::set<std::string> files, options, names;  // as the document has them
    for (const std::string& code : quoted(read_file(project() / document))) {
        options.merge(options_in(code));
        const std::string folder = code.substr(0, code.find('/'));
        const bool path = folder.size() < code.size() && code.find('*') == std::string::npos && fs::is_directory(project() / folder);
        if (path) files.insert(code);
        names.merge(names_in(code));
    }
    REQUIRE(files.count("include/method_mhgd.h") == 1);
    REQUIRE(options.count("--teacher-bn") == 1);
    REQUIRE(names.count("graph_divergence") == 1);
    for (const std::string& file : files) CHECK_MESSAGE(fs::exists(project() / file), "no file ", file);
    std::set<std::string> known;
    for (const fs::path& file : sources({"src"})) known.merge(options_in(read_file(file)));
    for (const std::string& option : options) CHECK_MESSAGE(known.count(option) == 1, "no option ", option);
    const std::set<std::string> words = words_of_headers();
    for (const std::string& name : names) CHECK_MESSAGE(words.count(name) == 1, "no name ", name, " in include/");
}

TEST_CASE("paper: each method's header cites its section and its paper's arXiv id") {
    const std::string text = read_file(project() / document);
    const auto rows = method_rows(text);
    REQUIRE(rows.size() >= 12);
    size_t ids = 0;
    for (const auto& row : rows) {
        const std::string section = trimmed(row[1]), id = trimmed(row[4]);
        for (const std::string& header : quoted(row[6])) {
            const std::string code = unbroken(read_file(project() / header));
            const std::vector<std::string> cited = citations(code);
            const auto about = [&](const std::string& c) { return c == section || c.compare(0, section.size() + 1, section + ".") == 0; };
            CHECK_MESSAGE(std::any_of(cited.begin(), cited.end(), about), header, " cites no section ", section);
            if (!std::isdigit(static_cast<unsigned char>(id[0]))) continue;
            CHECK_MESSAGE(code.find("arXiv " + id) != std::string::npos, header, " does not name arXiv ", id);
            ++ids;
        }
    }
    CHECK(ids > 0);
    for (const char* folder : {"include", "data/paper"})
        for (const auto& entry : fs::directory_iterator(project() / folder)) {
            const std::string code = read_file(entry.path()), word = "arXiv ";
            for (size_t at = code.find(word); at != std::string::npos; at = code.find(word, at + 1)) {
                const std::string id = code.substr(at + word.size(), 10);
                CHECK_MESSAGE(text.find(id) != std::string::npos, entry.path().string(), ": arXiv ", id, " is not in ", document);
            }
        }
}

TEST_CASE("docs: each method has its row in docs/papers.md §1.3 and its name in README.md, each subcommand its line in docs/commands.md") {
    std::string commands;  // of §1.3
    for (const auto& row : method_rows(read_file(project() / document))) commands += row[5];
    const std::string readme = read_file(project() / "README.md"), listed = read_file(project() / "docs/commands.md");
    for (const MethodRow* row : methods()) {
        const std::string name = row->name;
        const bool known = names_subcommand(commands, name) || names_subcommand(commands, "kd --method " + name);
        CHECK_MESSAGE((known || name == "train"), name, ": give it a row in ", document, " ", sign, "1.3");
        CHECK_MESSAGE(names_subcommand(readme, name), name, ": README.md does not name it");
    }
    const std::vector<std::string> all = subcommands_in(output_of(TempFolder(), "--help"));
    CHECK(all.size() > methods().size());
    for (const std::string& name : all) CHECK_MESSAGE(names_subcommand(listed, name), name, ": docs/commands.md does not have it");
    CHECK(names_subcommand("of `kd --method ab`", "kd"));
    CHECK(names_subcommand("./distill kd --teacher", "kd"));
    CHECK_FALSE(names_subcommand("`kd-svd` of kd, `--recipe kd`", "kd"));
}

TEST_SUITE_END();
