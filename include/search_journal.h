// search_journal.h: what happened in a search, row by row as it happens: the truth that a killed search goes on from.
// defines: TrialEvent, to_string, is_untrained, begins, is_end, JournalRow, JournalFile, has_journal, read_journal, require_same_study,
//          Journal
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base_csv.h"
#include "train_run_folder.h"

namespace distill {

/// A trial starts, runs (one row an epoch) and ends: stopped at a rung, complete, or failed, with the reason. A rejected one is never
/// trained, nor a repeated one, whose training an earlier trial is. A lost one was under way in a worker that died, and may be the reason;
/// it runs again, or fails.
enum class TrialEvent { started, running, stopped, complete, rejected, repeated, lost, failed };
const char* to_string(TrialEvent event);
/// Does it end a trial that never began to train?
inline bool is_untrained(TrialEvent e) { return e == TrialEvent::rejected || e == TrialEvent::repeated; }
/// Is it a trial's first event?
inline bool begins(TrialEvent e) { return e == TrialEvent::started || is_untrained(e); }
/// Nothing of the trial follows.
inline bool is_end(TrialEvent e) { return e != TrialEvent::started && e != TrialEvent::running && e != TrialEvent::lost; }

struct JournalRow {
    int64_t trial = 0;
    TrialEvent event = TrialEvent::started;
    int epoch = 0;                ///< epochs trained so far
    std::optional<double> error;  ///< after that epoch, in %; of running, stopped and complete
    std::string detail;           ///< of started, rejected and repeated: what the trial is; of lost, failed: why
};

/// journal.csv: columns trial,event,epoch,error,detail. The first row's event is `study`, its detail says which: "option=value;…".
struct JournalFile {
    Config study;
    std::vector<JournalRow> rows;
    size_t torn_bytes = 0;  ///< of a last line that a kill cut off; not among the rows
};

/// Does a search's journal lie in this folder? False where nobody may look.
bool has_journal(const std::filesystem::path& folder);

/// InputError for a file that is no journal: file, row, found, expected.
JournalFile read_journal(const std::filesystem::path& path);

/// InputError if the journal at `path` is another study's: what differs, found and expected. `study` may have more `trials`.
void require_same_study(const std::filesystem::path& path, const Config& study, const JournalFile& so_far);

/// Rows to the end of a journal, each on the disk (fsync) when append() returns. Two searches with the same study, one trial at a time,
/// write the same bytes.
class Journal {
  public:
    /// A new journal, whole or not at all. `sync` false leaves the disk to the system (simulations).
    Journal(const std::filesystem::path& path, const Config& study, bool sync = true);
    /// Goes on with a journal of the same study (require_same_study). A torn last line is cut off. If `study` has more `trials`, the journal
    /// says so from then on.
    Journal(const std::filesystem::path& path, const Config& study, const JournalFile& so_far, bool sync = true);
    void append(const JournalRow& row);

  private:
    CsvWriter out_;
    bool sync_;
};

}  // namespace distill
