// tools/check_layers: what it finds in a small project, and that it leaves a sound one alone. The tests' own suite that is not emulated.
#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base_files.h"
#include "base_texts.h"
#include "command.h"
#include "complaints.h"
#include "testing.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string readme =
    "# x\n\n## Where things are\n\n| files | what |\n|---|---|\n| `low_*` | the floor |\n| `high*` `main` | what stands on it |\n"
    "| `tests/` | tests |\n";

/// A header of a project: its line `// defines:`, its includes and what it declares.
std::string header(const std::string& defines, const std::string& includes, const std::string& body) {
    return "// x.h: something.\n// defines: " + defines + "\n#pragma once\n" + includes + "\nnamespace distill {\n\n" + body +
           "\n}  // namespace distill\n";
}

/// A project with a header and a source in each of two rooms, without a fault.
struct Project : TempFolder {
    Project() {
        put("README.md", readme);
        put("include/low_shape.h", header("Shape, size_of", "", "struct Shape {\n    int n;\n};\nint size_of(const Shape& s);\n"));
        put("src/low_shape.cpp",
            "#include \"low_shape.h\"\n\nnamespace distill {\n\nint size_of(const Shape& s) { return s.n; }\n\n}  // namespace distill\n");
        put("include/high.h", header("Net", "#include \"low_shape.h\"\n", "class Net {\n  public:\n    Shape shape() const;\n};\n"));
        put("src/high_net.cpp",
            "#include \"high.h\"\n\nnamespace distill {\n\nShape Net::shape() const { return {}; }\n\n}  // namespace distill\n");
        put("src/main.cpp", "#include \"high.h\"\n\nint main() { return 0; }\n");
    }
    void put(const std::string& name, const std::string& text) const {
        fs::create_directories((path() / name).parent_path());
        write_file_atomically(path() / name, text);
    }
    /// The lines that the check prints; `status` gets how it ends.
    std::vector<std::string> check(int& status) const {
        const std::string tool = (fs::path(__FILE__).parent_path() / ".." / "tools" / "check_layers").string();
        status =
            WEXITSTATUS(std::system(("python3 '" + tool + "' '" + path().string() + "' > '" + (path() / "said").string() + "'").c_str()));
        return split(read_file(path() / "said"), '\n');
    }
    /// It ends with 1 and names this fault alone.
    void check_fault(const std::string& line) const {
        int status = 0;
        const std::vector<std::string> said = check(status);
        CHECK(status == 1);
        REQUIRE(said.size() == 2);
        CHECK(said[0] == line);
    }
};

}  // namespace

TEST_CASE("layers: a sound project has no fault, and each kind of fault is found") {
    if (std::system("python3 -c 1") != 0) return skip("no python3");
    int status = 1;
    CHECK(Project().check(status) == std::vector<std::string>{"5 files, 2 rooms, 0 faults"});
    CHECK(status == 0);

    Project edited;  // what vim and emacs keep beside a file that is open
    edited.put("src/.main.cpp.swp", "\xff\n");
    fs::create_symlink("somebody@host.1", edited.path() / "src" / ".#main.cpp");
    edited.put("src/main.cpp~", "int main;\n");
    CHECK(edited.check(status) == std::vector<std::string>{"5 files, 2 rooms, 0 faults"});
    CHECK(status == 0);

    Project up;
    up.put("src/low_shape.cpp",
           "#include \"low_shape.h\"\n#include \"high_more.h\"\n\nnamespace distill {\n\nint size_of(const Shape& s) { return s.n; }\n"
           "\n}  // namespace distill\n");
    up.put("include/high_more.h", header("more", "", "constexpr int more = 1;\n"));
    up.check_fault("low_shape.cpp: includes high_more.h, from a room above its own");

    Project homeless;
    homeless.put("include/attic.h", header("Attic", "", "struct Attic {};\n"));
    homeless.check_fault("attic.h: is in 0 rows of README.md's table; expected in one");

    Project silent;
    silent.put("include/high_more.h", header("fill, Lane", "",
                                             "template <class T>\nvoid fill(T* to, T value);\nclass Lane;\nusing Lane = int;\n"
                                             "inline constexpr int most[2] = {1, 2};\n"));
    silent.check_fault("high_more.h: `// defines:` lacks most");

    Project stale;
    stale.put("include/high_more.h", header("fill, gone", "", "[[noreturn]] void fill();\nclass gone;\n"));
    stale.check_fault("high_more.h: `// defines:` has gone, which is not there");

    Project elsewhere;
    elsewhere.put("src/high_net.cpp",
                  "#include \"high.h\"\n\nnamespace distill {\n\nint Nothing::of() { return 0; }\n\n}  // namespace distill\n");
    elsewhere.check_fault("high_net.cpp: defines nothing that high.h declares");
}

TEST_CASE("layers: modules that include each other are found, over any number of files") {
    if (std::system("python3 -c 1") != 0) return skip("no python3");
    Project project;
    project.put("include/low_a.h", header("a", "", "int a();\n"));
    project.put(
        "src/low_a.cpp",
        "#include \"low_a.h\"\n\n#include \"low_b.h\"\n\nnamespace distill {\n\nint a() { return b(); }\n\n}  // namespace distill\n");
    project.put("include/low_b.h", header("b", "", "int b();\n"));
    project.put(
        "src/low_apart.cpp",
        "#include \"low_b.h\"\n#include \"low_c.h\"\n\nnamespace distill {\n\nint b() { return c(); }\n\n}  // namespace distill\n");
    project.put("include/low_c.h", header("c", "#include \"low_a.h\"\n", "int c();\n"));
    int status = 0;
    CHECK(project.check(status) == std::vector<std::string>{"low_a.cpp: includes low_b.h, whose module comes back to low_a",
                                                            "low_apart.cpp: includes low_c.h, whose module comes back to low_b",
                                                            "low_c.h: includes low_a.h, whose module comes back to low_c",
                                                            "10 files, 2 rooms, 3 faults"});
    CHECK(status == 1);
}

TEST_SUITE_END();

TEST_CASE("emulation: a case outside of the suite \"no kernels\" cannot start the program, and is told so") {
    const TempFolder folder;
    const std::string why = complaint<std::logic_error>([&] { run(folder, "--version"); });
    CHECK(says(why, {"starts the program", "TEST_SUITE_BEGIN(\"no kernels\")", "make test-emulated"}));
}
