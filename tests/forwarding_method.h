// forwarding_method.h: a method that says and does what another one does; tests derive from it to change a part.
// defines: testing::Forwarding
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "method.h"

namespace distill::testing {

/// Forwards every function of Method: one that is left out here would be the default's in the trainings of all tests that wrap a method.
class Forwarding : public Method {
  public:
    explicit Forwarding(std::unique_ptr<Method> inner) : inner_(std::move(inner)) {}
    Parameters& parameters() override { return inner_->parameters(); }
    const Network& student() const override { return inner_->student(); }
    std::vector<std::string> loss_names() const override { return inner_->loss_names(); }
    std::vector<std::string> notes() const override { return inner_->notes(); }
    std::vector<Phase> phases() override { return inner_->phases(); }
    bool reached_only() const override { return inner_->reached_only(); }
    void require_same_run(const RunFolder& folder) const override { inner_->require_same_run(folder); }
    void begin_run(const RunFolder& folder, int epochs_done) override { inner_->begin_run(folder, epochs_done); }
    void begin_epoch(int epoch) override { inner_->begin_epoch(epoch); }
    StepResult step(const Batch& batch) override { return inner_->step(batch); }
    std::vector<ParameterGroup> groups(const SgdOptions& of_run) const override { return inner_->groups(of_run); }
    void backward(Tape& tape, const StepResult& result) override { inner_->backward(tape, result); }
    void end_epoch(const RunFolder& folder, int epoch) override { inner_->end_epoch(folder, epoch); }
    std::vector<OtherNetwork> others() const override { return inner_->others(); }
    std::vector<Var> answers(const Var& images) const override { return inner_->answers(images); }
    std::vector<std::string> test_columns() const override { return inner_->test_columns(); }
    std::vector<double> test_values(const Evaluation& student, const std::vector<Evaluation>& others) const override {
        return inner_->test_values(student, others);
    }
    std::vector<PretrainedNetwork> pretrained() const override { return inner_->pretrained(); }
    void take_start(WeightFile& file, const std::string& path) override { inner_->take_start(file, path); }
    std::map<std::string, std::string> helper_metadata() const override { return inner_->helper_metadata(); }
    std::vector<std::pair<std::string, Tensor>> state() const override { return inner_->state(); }

  private:
    std::unique_ptr<Method> inner_;
};

}  // namespace distill::testing
