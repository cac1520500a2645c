#include "report_grid.h"

#include <algorithm>
#include <map>
#include <ostream>
#include <set>
#include <sstream>
#include <tuple>

#include "base_error.h"
#include "base_svg.h"

namespace distill {
namespace {

/// The group that stands for a training, by PaperRow::training().
std::map<std::string, const Group*> groups_by_training(const Report& report) {
    const auto rank = [](const Group& g) {  // of a chain its last stage
        return std::tuple(g.is_the_papers, g.any().stage_number(), g.last.n);
    };
    std::map<std::string, const Group*> all;
    for (const Group& group : report.groups) {
        if (!group.paper || group.paper->dataset != group.any().dataset) continue;
        const Group*& best = all[group.paper->training()];
        if (!best || rank(group) > rank(*best)) best = &group;
    }
    return all;
}

size_t place_of(std::vector<std::string>& names, const std::string& name) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<size_t>(found - names.begin());
    names.push_back(name);
    return names.size() - 1;
}

/// The line of the method's next number for this pair.
std::vector<std::optional<GridCell>>& line_for(PaperGrid& grid, const std::string& method, size_t pair) {
    for (size_t line = 0; line < grid.methods.size(); ++line) {
        if (grid.methods[line] != method) continue;
        grid.cells[line].resize(std::max(grid.cells[line].size(), pair + 1));
        if (!grid.cells[line][pair]) return grid.cells[line];
    }
    const auto after = std::find(grid.methods.rbegin(), grid.methods.rend(), method);  // its lines stand together
    const auto at = after == grid.methods.rend() ? grid.methods.end() - grid.methods.begin() : grid.methods.rend() - after;
    grid.methods.insert(grid.methods.begin() + at, method);
    return *grid.cells.emplace(grid.cells.begin() + at, pair + 1);
}

bool is_begun(const PaperGrid& grid) {
    const Coverage covered = coverage_of({grid});
    return covered.run + covered.otherwise > 0;
}

std::string papers_number(const PaperRow& row) {
    if (!row.value) return "–";
    return (row.std ? mean_and_deviation({*row.value, *row.std, 2}) : fixed(*row.value)) + (row.metric == "top1_best" ? " b" : "");
}

/// "73.40 ± 0.21, n 5".
std::string our_number(const GridCell& cell) {
    return text(mean_and_deviation(cell.accuracy()), ", n ", cell.ours->last.n, cell.ours->is_the_papers ? "" : " †");
}

/// What stands behind a number of ours.
const std::vector<std::string> details = {"method", "pair", "last", "best", "n", "time of one", "device", "day", "interrupted", "commit"};

/// Of the runs one after another: "2026-11-29", or "2026-11-28 to 2026-11-30"; "–" where none says.
std::string days_of(const Group& group) {
    std::set<std::string> days;
    for (const Run& run : group.runs)
        for (const Sitting& sitting : run.sittings) days.insert(sitting.began.substr(0, sitting.began.find(' ')));
    if (days.empty()) return "–";
    return *days.begin() + (days.size() > 1 ? " to " + *days.rbegin() : "");
}

/// How often, and on how many machines if it was on several.
std::string interruptions_of(const Group& group) {
    std::set<std::string> machines;
    size_t again = 0;
    for (const Run& run : group.runs) {
        if (run.sittings.empty()) return "–";
        again += run.sittings.size() - 1;
        for (const Sitting& sitting : run.sittings) machines.insert(sitting.machine);
    }
    return std::to_string(again) + (machines.size() > 1 ? text(", ", machines.size(), " machines") : "");
}

std::vector<std::vector<std::string>> details_of(const PaperGrid& grid) {
    std::vector<std::vector<std::string>> rows;
    for (size_t line = 0; line < grid.methods.size(); ++line)
        for (size_t pair = 0; pair < grid.pairs.size(); ++pair) {
            const auto& cell = grid.cells[line][pair];
            if (!cell || !cell->ours) continue;
            const Group& g = *cell->ours;
            rows.push_back({grid.methods[line], grid.pairs[pair], mean_and_deviation(g.last), mean_and_deviation(g.best),
                            std::to_string(g.last.n), format_hours(g.hours), g.devices, days_of(g), interruptions_of(g), g.commits});
        }
    return rows;
}

constexpr const char* how_to_read =
    "b: the best epoch, for both; else the last. n: our seeds, mean ± sample standard deviation. †: not with the paper's data and recipe, "
    "so "
    "the two do not compare. –: not on file.";

}  // namespace

const Spread& GridCell::accuracy() const { return row->metric == "top1_best" ? ours->best : ours->last; }

std::string Coverage::told() const {
    std::string all = text(run, " of ", cells, " cells run");
    if (otherwise > 0) all += text(", ", otherwise, " more not with the paper's data and recipe (†)");
    if (on_file > 0) all += text("; on file for the report only: ", on_file);
    return all;
}

Coverage coverage_of(const std::vector<PaperGrid>& grids) {
    Coverage all;
    for (const PaperGrid& grid : grids)
        for (const auto& line : grid.cells)
            for (const auto& cell : line) {
                if (!cell) continue;
                ++all.cells;
                all.on_file += cell->row->command.empty();
                if (cell->ours) ++(cell->ours->is_the_papers ? all.run : all.otherwise);
            }
    return all;
}

std::vector<PaperGrid> paper_grids(const Report& report) {
    const std::map<std::string, const Group*> groups = groups_by_training(report);
    std::vector<PaperGrid> grids;
    std::map<std::string, size_t> by_title;
    for (const PaperRow& row : report.paper) {
        const std::string title = (row.file.empty() ? "" : row.file + ": ") + row.table;
        const auto [known, fresh] = by_title.emplace(title, grids.size());
        if (fresh) grids.push_back({title, {}, {}, {}});
        PaperGrid& grid = grids[known->second];
        const size_t pair = place_of(grid.pairs, (row.teacher.empty() ? "" : counted(row.teacher) + "→") + row.student);
        const auto ours = groups.find(row.training());
        line_for(grid, row.method, pair)[pair] = GridCell{&row, ours == groups.end() ? nullptr : ours->second};
    }
    for (PaperGrid& grid : grids)
        for (auto& line : grid.cells) line.resize(grid.pairs.size());
    return grids;
}

void write_grids(std::ostream& out, const std::vector<PaperGrid>& grids) {
    if (grids.empty()) return;
    out << "\nThe papers' tables (data/paper): " << coverage_of(grids).told() << '\n';
    bool any = false;
    for (const PaperGrid& grid : grids) {
        if (!is_begun(grid)) continue;
        any = true;
        out << '\n' << grid.title << ": " << coverage_of({grid}).told() << '\n';
        std::vector<std::vector<std::string>> rows = {{"method"}};
        for (const std::string& pair : grid.pairs) rows.front().insert(rows.front().end(), {pair, "ours"});
        for (size_t line = 0; line < grid.methods.size(); ++line) {
            rows.push_back({grid.methods[line]});
            for (const auto& cell : grid.cells[line]) {
                rows.back().push_back(cell ? papers_number(*cell->row) : "");
                rows.back().push_back(cell && cell->ours ? our_number(*cell) : "");
            }
        }
        out << aligned(rows);
        std::vector<std::vector<std::string>> ours = details_of(grid);
        ours.insert(ours.begin(), details);
        out << "ours:\n" << aligned(ours, {4, 5});
    }
    if (any) out << how_to_read << '\n';
}

std::string grids_section(const std::vector<PaperGrid>& grids) {
    if (grids.empty()) return "";
    std::ostringstream html;
    html << "<section><h2>The papers’ tables</h2><p>" << escaped(coverage_of(grids).told()) << ".</p>\n";
    bool any = false;
    for (const PaperGrid& grid : grids) {
        if (!is_begun(grid)) continue;
        any = true;
        html << "<h3>" << escaped(grid.title) << "</h3><p class=\"soft\">" << escaped(coverage_of({grid}).told())
             << ".</p><div class=\"wide\"><table class=\"papers\"><thead><tr><th class=\"text\">Method</th>";
        for (const std::string& pair : grid.pairs) html << "<th>" << escaped(pair) << "</th>";
        html << "</tr></thead><tbody>\n";
        for (size_t line = 0; line < grid.methods.size(); ++line) {
            html << "<tr><td class=\"text\">" << escaped(grid.methods[line]) << "</td>";
            for (const auto& cell : grid.cells[line]) {
                html << "<td>" << (cell ? papers_number(*cell->row) : "");
                if (cell && cell->ours) html << "<span class=\"id\">" << our_number(*cell) << "</span>";
                html << "</td>";
            }
            html << "</tr>\n";
        }
        html << "</tbody></table></div>\n<details><summary>Ours</summary><div class=\"wide\"><table class=\"papers\"><thead><tr>";
        for (const std::string& name : details) html << "<th class=\"text\">" << name << "</th>";
        html << "</tr></thead><tbody>\n";
        for (const auto& row : details_of(grid)) {
            html << "<tr>";
            for (const std::string& value : row) html << "<td class=\"text\">" << escaped(value) << "</td>";
            html << "</tr>\n";
        }
        html << "</tbody></table></div></details>\n";
    }
    if (any) html << "<p class=\"soft\">Above the paper’s number, below it ours. " << escaped(how_to_read) << "</p>";
    html << "</section>\n";
    return html.str();
}

}  // namespace distill
