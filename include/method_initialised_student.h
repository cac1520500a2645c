// method_initialised_student.h: a student that is trained on its teacher's maps alone first, and then on the labels alone.
// defines: InitialisedOptions, InitialisedStudent
#pragma once
#include <string>
#include <vector>

#include "method.h"
#include "net.h"

namespace distill {

struct InitialisedOptions : MethodOptions {
    int init_epochs = 40;
    bool benchmark = false;  ///< as the CRD benchmark has the method; else as MHGD's authors
    double gamma = 1;
    double alpha = 0, beta = 0;  ///< there are no such terms
    void add_to(OptionTable& table) override;
    void settle(Options& options) override;
};

/// For --init-epochs the loss is a transfer loss, with weight decay; then momentum is cleared, and it is γ·CE (docs/papers.md §6.6). What the
/// loss does not reach decays as well as MHGD's authors have it, the classifier first and a helper module beside the student then; in the
/// benchmark's form it stays as it is, and so do the statistics of what lies behind the stages (Mode::train_stages).
class InitialisedStudent : public StudentMethod {
  public:
    std::vector<std::string> loss_names() const final { return {"loss_ce"}; }
    std::vector<Phase> phases() final;
    bool reached_only() const final { return benchmark_; }
    StepResult step(const Batch& batch) final;

  protected:
    /// `loss`: the transfer loss's column. `keep`: what both networks show it, and, `then`, what the student is asked for beside the CE.
    InitialisedStudent(const Setting& setting, const Options& options, const InitialisedOptions& own, std::string loss, Keep keep,
                       Keep then);
    virtual Var transfer_loss(const Output& student, const Output& teacher) const = 0;
    const Teacher& teacher_;

  private:
    Var initialise(const Batch& batch) const;
    std::string loss_;
    int epochs_;
    float gamma_;
    bool benchmark_;
    SgdOptions sgd_;  ///< of the first phase
    Keep keep_, then_;
};

}  // namespace distill
