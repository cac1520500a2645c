#include "search_journal.h"

#include <algorithm>
#include <array>
#include <limits>
#include <system_error>
#include <utility>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"

namespace distill {
namespace {

const std::vector<std::string> columns = {"trial", "event", "epoch", "error", "detail"};
constexpr std::array<std::pair<TrialEvent, const char*>, 8> events = {{{TrialEvent::started, "started"},
                                                                       {TrialEvent::running, "running"},
                                                                       {TrialEvent::stopped, "stopped"},
                                                                       {TrialEvent::complete, "complete"},
                                                                       {TrialEvent::rejected, "rejected"},
                                                                       {TrialEvent::repeated, "repeated"},
                                                                       {TrialEvent::lost, "lost"},
                                                                       {TrialEvent::failed, "failed"}}};

/// One line. A value with a ';' of its own comes back in pieces, the same pieces each time.
std::string study_text(const Config& study) {
    std::vector<std::string> parts;
    for (const auto& [name, value] : study) parts.push_back(name + "=" + value);
    return joined(parts, ";");
}

Config parse_study(const std::string& detail) {
    Config study;
    for (size_t at = 0; at < detail.size();) {
        const size_t end = std::min(detail.find(';', at), detail.size()), equals = std::min(detail.find('=', at), end);
        study.emplace_back(detail.substr(at, equals - at), equals < end ? detail.substr(equals + 1, end - equals - 1) : "");
        at = end + 1;
    }
    return study;
}

JournalRow parse_row(const CsvTable& table, size_t row) {
    const std::string& name = table.cell(row, "event");
    const auto event = std::find_if(events.begin(), events.end(), [&](const auto& e) { return name == e.second; });
    if (event == events.end())
        input_error(table.path.string(), ": row ", row + 1, ": found the event '", name, "', which this program does not know");
    const auto epoch = static_cast<int>(table.cell_whole(row, "epoch", std::numeric_limits<int>::max()));
    JournalRow r{table.cell_whole(row, "trial"), event->first, epoch, {}, table.cell(row, "detail")};
    if (!table.cell(row, "error").empty()) r.error = table.cell_number(row, "error");
    const bool reports = r.event == TrialEvent::running || r.event == TrialEvent::stopped || r.event == TrialEvent::complete;
    if (reports != r.error.has_value())
        input_error(table.path.string(), ": row ", row + 1, ": found ", r.error ? "an" : "no", " error in a row '", name, "'");
    return r;
}

/// In one line, so that a torn one can be told.
std::vector<std::string> cells_of(const JournalRow& row) {
    std::string detail = row.detail;
    std::replace(detail.begin(), detail.end(), '\n', ' ');
    return {std::to_string(row.trial), to_string(row.event), std::to_string(row.epoch), row.error ? number(*row.error) : "", detail};
}

/// The journal up to these rows, whole or not at all.
void write_journal(const fs::path& path, const Config& study, const std::vector<JournalRow>& rows) {
    std::vector<std::vector<std::string>> all = {{"", "study", "", "", study_text(study)}};
    for (const JournalRow& row : rows) all.push_back(cells_of(row));
    write_file_atomically(path, csv_text(columns, all));
}

CsvWriter fresh(const fs::path& path, const Config& study) {
    if (fs::exists(path)) input_error(path.string(), ": this journal exists; add --resume to go on with it, or name another --run");
    write_journal(path, study, {});
    return CsvWriter(path, columns, CsvWriter::Open::append);
}

bool is_longer(const Config& study, const JournalFile& so_far) { return whole_of(study, "trials") > whole_of(so_far.study, "trials"); }

CsvWriter reopened(const fs::path& path, const Config& asked, const JournalFile& so_far) {
    require_same_study(path, asked, so_far);
    if (is_longer(asked, so_far))
        write_journal(path, asked, so_far.rows);
    else if (so_far.torn_bytes > 0)
        fs::resize_file(path, fs::file_size(path) - so_far.torn_bytes);
    return CsvWriter(path, columns, CsvWriter::Open::append);
}

}  // namespace

const char* to_string(TrialEvent event) { return events[static_cast<size_t>(event)].second; }

bool has_journal(const fs::path& folder) {
    std::error_code unseen;
    return fs::exists(folder / "journal.csv", unseen);
}

JournalFile read_journal(const fs::path& path) {
    const CsvTable table = read_csv(path, ReadCsv::whole_lines);
    if (table.columns != columns)
        input_error(path.string(), ": is no search's journal: found the columns ", joined(table.columns), ", expected ", joined(columns));
    if (table.rows.empty() || table.cell(0, "event") != "study")
        input_error(path.string(), ": is no search's journal: its first row must be the study's");
    JournalFile journal;
    journal.study = parse_study(table.cell(0, "detail"));
    journal.torn_bytes = table.torn_bytes;
    journal.rows.reserve(table.rows.size() - 1);
    for (size_t row = 1; row < table.rows.size(); ++row) journal.rows.push_back(parse_row(table, row));
    return journal;
}

void require_same_study(const fs::path& path, const Config& asked, const JournalFile& so_far) {
    const Config study = parse_study(study_text(asked));
    const auto value_in = [](const Config& config, const std::string& name) {
        const auto found = std::find_if(config.begin(), config.end(), [&](const auto& row) { return row.first == name; });
        return found == config.end() ? std::string("nothing") : found->second;
    };
    const bool longer = is_longer(study, so_far);
    for (const auto& [ours, theirs] : {std::pair(&study, &so_far.study), std::pair(&so_far.study, &study)})
        for (const auto& [name, value] : *ours)
            if (const std::string other = value_in(*theirs, name); other != value && !(longer && name == "trials"))
                input_error(path.string(), ": is the journal of another search: found ", name, " = ", value_in(so_far.study, name),
                            ", expected ", value_in(study, name), "; restore what it was, or start anew in another folder");
}

Journal::Journal(const fs::path& path, const Config& study, bool sync) : out_(fresh(path, study)), sync_(sync) {}

Journal::Journal(const fs::path& path, const Config& study, const JournalFile& so_far, bool sync)
    : out_(reopened(path, study, so_far)), sync_(sync) {}

void Journal::append(const JournalRow& row) {
    out_.row(cells_of(row));
    if (sync_) out_.sync();
}

}  // namespace distill
