// method_initialised_student.h: a student that is trained on its teacher's maps alone first, and then on the labels alone.
// defines: InitialisedOptions, InitialisedStudent
#pragma once
#include <string>
#include <vector>

#include "method.h"

namespace distill {

struct InitialisedOptions : MethodOptions {
    int init_epochs = 40;
    void add_to(OptionTable& table) override;
};

/// For --init-epochs the loss is a transfer loss, with weight decay; then momentum is cleared, and it is plain cross-entropy
/// (docs/papers.md §6.6).
/// A helper module beside the student then gets no gradient but its decay.
class InitialisedStudent : public StudentMethod {
  public:
    std::vector<std::string> loss_names() const final { return {"loss_ce"}; }
    std::vector<Phase> phases() final;
    StepResult step(const Batch& batch) final;

  protected:
    /// `loss`: the transfer loss's column in preparation.csv.
    InitialisedStudent(const Setting& setting, const Options& options, const InitialisedOptions& own, std::string loss);
    virtual Var transfer_loss(const Batch& batch) const = 0;
    const Teacher& teacher_;

  private:
    std::string loss_;
    int epochs_;
};

}  // namespace distill
