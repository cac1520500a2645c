// A search's folder, journal.csv and search.csv: reading, going on with it, and everything that is told of it.
#include "base_error.h"
#include "fuzz.h"
#include "search_early.h"
#include "search_history.h"
#include "search_journal.h"
#include "search_svg.h"

namespace distill::fuzz {
namespace {

bool same(const JournalRow& a, const JournalRow& b) {
    return a.trial == b.trial && a.event == b.event && a.epoch == b.epoch && a.error.has_value() == b.error.has_value();
}

void require_same_when_written(const JournalFile& journal) {
    const fs::path path = folder() / "written.csv";
    fs::remove(path);
    {
        Journal copy(path, journal.study, false);
        for (const JournalRow& row : journal.rows) copy.append(row);
    }
    const JournalFile again = read_journal(path);
    require(again.study == journal.study && again.rows.size() == journal.rows.size(), "a written journal has the same study and length");
    for (size_t i = 0; i < again.rows.size(); ++i) require(same(again.rows[i], journal.rows[i]), "a written journal has the same rows");
}

}  // namespace

std::vector<std::string> seeds() {
    const std::string graph = "resnet8a wrn-10-1 | through cutoff | linear correct";
    const std::string journal = "trial,event,epoch,error,detail\n,study,,,target=resnet8a;epochs=4;trials=3\n0,started,0,," + graph +
                                "\n0,running,1,60.5,\n1,rejected,0,," + graph + "\n0,complete,4,41.25,\n2,started,0,," + graph +
                                "\n2,running,1,70,\n2,stopped,1,70,\n3,started,0,," + graph + "\n3,lost,0,,a worker\n3,failed,0,,twice\n";
    const std::string results =
        "id,trial,search_error,test_mean,test_std,n,graph\nbest1,0,41.25,58.5,0.5,3," + graph + "\nplain,,,55,,1,resnet8a | through\n";
    std::string whole = "trial,event,epoch,error,detail\n,study,,,target=resnet8a;epochs=2;trials=6;stopping=off\n";
    for (const std::string trial : {"0", "1", "2", "3", "4", "5"})
        whole += trial + ",started,0,," + graph + "\n" + trial + ",running,1,6" + trial + ",\n" + trial + ",complete,2,5" + trial + ",\n";
    return {joined_parts({results, journal}), joined_parts({"", whole}), joined_parts({"", journal}),
            joined_parts({"", journal.substr(0, journal.size() - 9)})};
}

void parse(const std::string& bytes) {
    const std::vector<std::string> parts = parts_of(bytes, 2);
    file_of(parts[0], "search.csv");
    if (parts[0].empty()) fs::remove(folder() / "search.csv");
    require_same_when_written(read_journal(file_of(parts[1], "journal.csv")));
    const SearchHistory history = read_search(folder());
    search_text(history);
    search_svg(history);
    preferences_csv(history);
    if (const auto early = early_stopping(history)) early_text(*early);
}

}  // namespace distill::fuzz
