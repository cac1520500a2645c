#include "paper_plan.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base_error.h"
#include "base_numbers.h"
#include "base_texts.h"

namespace distill {
namespace {

/// Runs of another row that a value names: {ID} or {ID:COUNT}.
struct Reference {
    size_t begin, end;  ///< its place in the value, braces included
    std::string id;
    int count;
};

std::optional<Reference> reference_in(const std::string& value, const std::string& where) {
    const size_t begin = value.find('{');
    if (begin == std::string::npos) return std::nullopt;
    const size_t end = value.find('}', begin);
    if (end == std::string::npos || value.find('{', begin + 1) != std::string::npos)
        input_error(where, ": found '", value, "', expected {ID} or {ID:COUNT}, once");
    const std::vector<std::string> parts = split(value.substr(begin + 1, end - begin - 1), ':');
    const int64_t count = parts.size() == 2 ? parsed_whole(parts[1]).value_or(0) : parts.size();
    if (parts.empty() || parts.size() > 2 || count < 1 || count > 64)
        input_error(where, ": found '", value, "', expected {ID} or {ID:COUNT}, a count from 1 to 64");
    return Reference{begin, end + 1, parts[0], static_cast<int>(count)};
}

class Plan {
  public:
    Plan(const std::vector<PaperRow>& rows, const PlanOptions& options) : rows_(rows), options_(options) {
        for (const PaperRow& row : rows) {
            first_of_training_.emplace(row.training(), &row);
            by_id_.emplace(row.id, &row);
        }
    }

    void ask(const std::string& what) {
        bool found = false;
        for (const PaperRow& row : rows_)
            if (row.id == what || row.file == what) found = true, add(row, options_.seeds);
        if (!found) find_paper_row(rows_, what);  // throws
    }

    std::vector<PlannedLine> lines() const {
        std::vector<PlannedLine> all;
        for (const PaperRow& row : rows_) {
            const auto planned = planned_.find(row.id);
            if (planned == planned_.end()) continue;
            const Planned& p = planned->second;
            for (int seed = 0; seed < (p.reason.empty() ? p.seeds : 1); ++seed)
                all.push_back(
                    {&row, seed, p.reason.empty() ? p.step : 0, p.needs, p.reason.empty() ? line(row, p.by, seed) : "", p.reason});
        }
        std::stable_sort(all.begin(), all.end(), [](const PlannedLine& a, const PlannedLine& b) {
            return std::pair(a.step == 0, a.step) < std::pair(b.step == 0, b.step);
        });
        return all;
    }

  private:
    struct Planned {
        int seeds = 0, step = 0;
        TrainedBy by;
        std::vector<std::string> needs;
        std::string reason;
    };

    const PaperRow& by_id(const std::string& id, const std::string& where) const {
        const auto found = by_id_.find(id);
        if (found == by_id_.end()) input_error(where, ": needs the row ", id, ", which is in none of the files read");
        return *first_of_training_.at(found->second->training());
    }

    const Planned& add(const PaperRow& row, int seeds) {
        const auto [place, fresh] = planned_.try_emplace(row.id);
        Planned& p = place->second;
        if (fresh && !row.command.empty()) p.by = options_.trained_by(row);
        const std::string where = row.where();
        if (!fresh && p.step == 0 && p.reason.empty()) input_error(where, ": needs itself, over other rows");
        p.seeds = std::max(p.seeds, row.method == "teacher" || p.by.once ? 1 : seeds);
        const PaperRow& first = *first_of_training_.at(row.training());
        if (&first != &row) {
            p.reason = "the same training as " + first.id;
            add(first, seeds);
            return p;
        }
        if (!fresh) return p;
        if (row.command.empty())
            p.reason = "on file for the report only";
        else
            p.reason = p.by.obstacle;
        for (const auto& [name, value] : row.options)
            if (const auto reference = reference_in(value, where)) {
                const PaperRow& needed = by_id(reference->id, where);
                p.needs.push_back(needed.id);
                if (!p.reason.empty()) continue;
                const Planned& before = need(needed, reference->count);
                if (!before.reason.empty()) p.reason = "needs " + needed.id + ": " + before.reason;
                p.step = std::max(p.step, before.step);
            }
        ++p.step;
        return p;
    }

    const Planned& need(const PaperRow& row, int runs) {
        add(row, 0);
        Planned& p = planned_.at(row.id);
        p.seeds = std::max(p.seeds, runs);
        return p;
    }

    std::string folder(const PaperRow& row, int seed) const { return options_.runs + '/' + row.id + "/s" + std::to_string(seed); }

    std::string with_files(std::string value, const std::string& where) const {
        const auto reference = reference_in(value, where);
        if (!reference) return value;
        std::vector<std::string> files;
        for (int seed = 0; seed < reference->count; ++seed)
            files.push_back(folder(by_id(reference->id, where), seed) + "/student.safetensors");
        return value.replace(reference->begin, reference->end - reference->begin, joined(files, ","));
    }

    std::string line(const PaperRow& row, const TrainedBy& by, int seed) const {
        std::string all = shell_word(options_.program) + ' ' + row.command;
        const auto add = [&](const std::string& name, const std::string& value) { all += " --" + name + ' ' + shell_word(value); };
        if (by.preset)
            add("preset", row.id);
        else
            add("dataset", row.dataset);
        for (const auto& [name, value] : row.options)
            if (!by.preset || value.find('{') != std::string::npos) add(name, with_files(value, row.where()));
        add("seed", std::to_string(seed));
        add("run", folder(row, seed));
        return all + " --auto-resume" + by.further;
    }

    const std::vector<PaperRow>& rows_;
    const PlanOptions& options_;
    std::map<std::string, const PaperRow*> first_of_training_, by_id_;
    std::map<std::string, Planned> planned_;
};

}  // namespace

std::vector<PlannedLine> plan_rows(const std::vector<PaperRow>& rows, const std::vector<std::string>& asked, const PlanOptions& options) {
    Plan plan(rows, options);
    for (const std::string& what : asked) plan.ask(what);
    if (asked.empty())
        for (const PaperRow& row : rows) plan.ask(row.id);
    return plan.lines();
}

}  // namespace distill
