// feed_workplace.h: a folder with a small data set and networks for it, as FEED's commands want them.
// defines: testing::FeedWorkplace
#pragma once
#include <string>

#include "base_safetensors.h"
#include "core_backend.h"
#include "device.h"
#include "net_table.h"
#include "workplace.h"

namespace distill::testing {

/// data/s: four textures of 16x16; <name>.safetensors: networks for them that say what they are, not trained.
struct FeedWorkplace : Workplace {
    FeedWorkplace() {
        save("a", "resnet8", 1);
        save("b", "resnet8", 2);
        save("wide", "wrn-10-2", 3);
        save("ten", "resnet8", 4, 10);
    }
    void save(const std::string& name, const std::string& network, uint64_t seed, int classes = 4) const {
        const auto backend = make_backend("cpu");
        Parameters parameters(*backend, false);
        make_network(network, classes, parameters);
        parameters.allocate(seed);
        write_safetensors(path() / (name + ".safetensors"), {parameters.to_file(),
                                                             {{"network", network},
                                                              {"classes", std::to_string(classes)},
                                                              {"dataset", "s"},
                                                              {"normalization", "none"},
                                                              {"seed", std::to_string(seed)}}});
    }
};

}  // namespace distill::testing
