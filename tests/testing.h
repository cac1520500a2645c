// testing.h: what the tests share beside doctest.
// defines: testing::skip, testing::require_no_kernels, testing::TempFolder, testing::golden, testing::program_beside, testing::worse,
//          testing::largest_difference
#pragma once
#include <stdlib.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

/// doctest's own prints where the letters lie.
template <>
struct doctest::StringMaker<const char*> {
    static String convert(const char* in) { return in ? in : "nullptr"; }
};

namespace distill::testing {

namespace fs = std::filesystem;

/// Records that the running case was skipped, and why ("no CUDA device"); the case then returns by itself. The closing
/// lines of the run name every skip and count it. A case that also fails counts as failed.
void skip(const std::string& reason);

/// Cases of the suite "no kernels" are left out by `make test-emulated`, where kernels run thread by thread: those that launch
/// none (files, tables), those that start the program, which that build has not, those that launch the same ones again and again, and
/// those that compare recorded steps to the bit (QueuedBackend runs functors as the CPU does, whose sums have another order).
/// std::logic_error if the running case is not one of them, nor slow. `why`: "starts the program".
void require_no_kernels(const std::string& why);

/// A fresh folder under the system's temporary one, removed with all it holds at the end of the scope.
class TempFolder {
  public:
    TempFolder() {
        std::string name = (fs::temp_directory_path() / "distill-test-XXXXXX").string();
        if (!mkdtemp(name.data())) throw std::runtime_error("cannot make the folder " + name);
        path_ = name;
    }
    ~TempFolder() {
        std::error_code unused;
        fs::remove_all(path_, unused);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;

    const fs::path& path() const { return path_; }
    fs::path operator/(const fs::path& name) const { return path_ / name; }

  private:
    fs::path path_;
};

/// The program of the build that these tests are of.
inline fs::path program_beside() { return fs::read_symlink("/proc/self/exe").parent_path() / "distill"; }

/// A fixture under tests/golden. Works from the folder that the tests were built in, as `make test` runs them.
inline fs::path golden(const fs::path& name) { return fs::path(__FILE__).parent_path() / "golden" / name; }

/// The larger of two errors; infinite where one is no number: std::max(x, NaN) is x, and lets a test pass.
inline double worse(double a, double b) {
    return std::isnan(a) || std::isnan(b) ? std::numeric_limits<double>::infinity() : std::max(a, b);
}

/// max |found − expected|; infinite where a difference is no number. Both have as many values.
template <class Found, class Expected>
double largest_difference(const std::vector<Found>& found, const std::vector<Expected>& expected) {
    REQUIRE(found.size() == expected.size());
    double largest = 0;
    for (size_t i = 0; i < found.size(); ++i)
        largest = worse(largest, std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i])));
    return largest;
}

}  // namespace distill::testing
