// conv_plans.csv: which plans a run's convolutions took; also that what was read and written again is the same.
#include "core_conv_plan_store.h"
#include "fuzz.h"

namespace distill::fuzz {

std::vector<std::string> seeds() {
    return {
        "device,library,convolution,plan,ms\ncard,cuDNN 9,forward x 1,fused engine=44 2=12 18=0,0.5\ncard,cuDNN 9,forward x 2,engine=0,1\n"
        "other,cuDNN 8,forward x 1,engine=-1 1=1,2\n"};
}

void parse(const std::string& bytes) {
    ConvPlanStore store("card", "cuDNN 9"), again("card", "cuDNN 9");
    load_conv_plans(store, file_of(bytes));
    fs::remove(folder() / "written");
    save_conv_plans(store, folder() / "written");
    load_conv_plans(again, folder() / "written");
    require(store.choices().size() == again.choices().size(), "as many plans are read as were written");
    for (const auto& [key, choice] : store.choices()) require(again.choices().at(key).same_plan(choice), "a written plan is the same");
}

}  // namespace distill::fuzz
