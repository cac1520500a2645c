// workplace.h: a folder with a small data set, as commands want it.
// defines: testing::Workplace
#pragma once
#include "data_synth.h"
#include "testing.h"

namespace distill::testing {

/// data/s: four textures of 16x16.
struct Workplace : TempFolder {
    explicit Workplace(int train = 100, int test = 40) { synthesize(path() / "data", {"s", 4, 16, train, test}); }
};

}  // namespace distill::testing
