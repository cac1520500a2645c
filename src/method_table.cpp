#include "method_table.h"

#include <map>

#include "base_texts.h"
#include "method_ab.h"
#include "method_at.h"
#include "method_cc.h"
#include "method_crd.h"
#include "method_dkd.h"
#include "method_feed.h"
#include "method_ffsd.h"
#include "method_fitnet.h"
#include "method_fsp.h"
#include "method_ft.h"
#include "method_hkd.h"
#include "method_kd.h"
#include "method_kd_svd.h"
#include "method_ktg.h"
#include "method_mhgd.h"
#include "method_nst.h"
#include "method_pkt.h"
#include "method_reviewkd.h"
#include "method_rkd.h"
#include "method_sp.h"
#include "method_supervised.h"
#include "method_vid.h"
#include "train_options.h"
#include "train_run_folder.h"

namespace distill {
namespace {

struct Kind {
    Role role = Role::substance;
    bool may_change = false;
    std::string open_value;
    Places places = Places::none;
};

/// Of every option that a training can have, by its name in config.csv.
std::map<std::string, Kind> all_kinds() {
    std::map<std::string, Kind> kinds;
    const auto add = [&](const auto& add_to) {
        OptionTable table;
        add_to(table);
        for (const TableOption& option : table.options())
            if (!option.is_fixed) kinds[option.name] = {option.role, option.may_change, option.open_value, option.places};
    };
    Options o;
    FeedSeries series;
    for (const MethodRow* row : methods()) {
        const std::unique_ptr<MethodOptions> own = row->options();
        add([&](OptionTable& t) { own->add_to(t); });
    }
    add([&](OptionTable& t) { series.add_chain_to(t), series.add_sweep_to(t); });
    add([&](OptionTable& t) { add_teachers_options(t, o), add_training_options(t, o, true); });
    return kinds;
}

Kind kind_of(const std::string& option) {
    static const std::map<std::string, Kind> kinds = all_kinds();
    const auto found = kinds.find(option);
    return found == kinds.end() ? Kind() : found->second;
}

}  // namespace

const std::vector<const MethodRow*>& methods() {
    static const std::vector<const MethodRow*> all = {
        // From labels, and from logits.
        &supervised_row,
        &kd_row,
        &ensemble_row,
        &ban_row,
        &soft_logits_row,
        &dkd_row,
        // From features, as the CRD benchmark's tables have them, and MHGD's.
        &fitnet_row,
        &at_row,
        &sp_row,
        &cc_row,
        &vid_row,
        &rkd_row,
        &pkt_row,
        &ab_row,
        &ft_row,
        &fsp_row,
        &nst_row,
        &crd_row,
        &kd_svd_row,
        &kd_svdf_row,
        // The papers'.
        &ktg_row,
        &feed_row,
        &mhgd_row,
        &reviewkd_row,
        &hkd_row,
        &ffsd_row,
    };
    return all;
}

const MethodRow* find_method(const std::string& name) {
    for (const MethodRow* row : methods())
        if (row->name == name) return row;
    return nullptr;
}

ChosenMethod choose(const MethodRow& row) { return {&row, row.options()}; }

Role role_of(const std::string& option) { return kind_of(option).role; }

Places places_of(const std::string& option) { return kind_of(option).places; }

bool is_circumstance(const std::string& option) { return starts_with(option, "info.") || role_of(option) == Role::circumstance; }

bool is_left_open(const std::string& option, const std::string& value) { return !value.empty() && value == kind_of(option).open_value; }

bool may_change(const std::string& option) {
    return option == "info.by_hand" || option == started_in || option == started_as || kind_of(option).may_change;
}

}  // namespace distill
