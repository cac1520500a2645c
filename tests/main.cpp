// main.cpp of the tests: doctest's own, plus skips with reasons and one closing line, "N passed, N failed, N skipped".
// A run in which no case ran fails: a filter that matches nothing must not look like success.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "testing.h"

namespace {

struct Tally {
    const char *running = "", *suite = "";                   ///< name of the case under way, and its suite
    std::vector<std::pair<std::string, std::string>> skips;  ///< case, reason
    std::vector<std::string> idle;                           ///< cases in which no assertion ran
    bool skipped = false;                                    ///< the running case has called skip()
    int passed = 0, failed = 0, skips_counted = 0;
};

Tally& tally() {
    static Tally instance;
    return instance;
}

/// Counts cases as doctest ends them; doctest's console reporter goes on printing beside it.
struct Counter : doctest::IReporter {
    explicit Counter(const doctest::ContextOptions&) {}
    void test_case_start(const doctest::TestCaseData& data) override {
        tally().running = data.m_name;
        tally().suite = data.m_test_suite;
        tally().skipped = false;
    }
    void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
        Tally& t = tally();
        const bool idle = stats.testCaseSuccess && !t.skipped && stats.numAssertsCurrentTest == 0;
        if (idle) t.idle.emplace_back(t.running);
        ++(!stats.testCaseSuccess || idle ? t.failed : t.skipped ? t.skips_counted : t.passed);
    }
    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("counter", 1, Counter);

}  // namespace

void distill::testing::skip(const std::string& reason) {
    Tally& t = tally();
    t.skipped = true;
    std::pair<std::string, std::string> entry(t.running, reason);
    if (t.skips.empty() || t.skips.back() != entry) t.skips.push_back(std::move(entry));  // once, not once a subcase
}

void distill::testing::require_no_kernels(const std::string& why) {
    const std::string name = tally().running, suite = tally().suite;
    if (suite == "no kernels" || name.compare(0, 6, "slow: ") == 0) return;
    throw std::logic_error("test case '" + name + "' " + why +
                           ": put it between TEST_SUITE_BEGIN(\"no kernels\") and TEST_SUITE_END(), or " +
                           "give it * doctest::test_suite(\"no kernels\"), so that `make test-emulated` leaves it out");
}

int main(int argc, char** argv) {
    doctest::Context context(argc, argv);
    int status = context.run();
    if (context.shouldExit()) return status;  // a query such as --list-test-cases
    const Tally& t = tally();
    if (t.passed + t.failed + t.skips_counted == 0) {
        std::fprintf(stderr, "no test case ran: nothing matches the filter\n");
        status = 1;
    }
    for (const std::string& name : t.idle) {
        std::fprintf(stderr, "failed: %s (no assertion ran)\n", name.c_str());
        status = 1;
    }
    for (const auto& [name, reason] : t.skips) std::printf("skipped: %s (%s)\n", name.c_str(), reason.c_str());
    std::printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skips_counted);
    return status;
}
