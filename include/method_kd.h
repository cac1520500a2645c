// method_kd.h: plain training, and what every distillation shares: a frozen teacher and Hinton's loss.
// defines: Supervised, require_network, Teacher, generation_after, Teachers, settle_teachers, load_teachers, look, kd_loss,
//          KnowledgeDistillation
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "trainer.h"

namespace distill {

/// Cross-entropy against the labels.
class Supervised final : public StudentMethod {
  public:
    Supervised(Backend& backend, const Options& options, int classes);
    std::vector<std::string> loss_names() const override { return {"loss_ce"}; }
    StepResult step(const Batch& batch) override;
};

/// The rule for every weight file of a network, --init, eval, teachers and nodes alike: InputError if one of this program's own (own_word)
/// says that it is another network, or of another number of classes (0: any will do).
void require_network(const std::string& file, const std::map<std::string, std::string>& metadata, const std::string& network, int classes);

/// A trained network that is only looked at: its passes are never recorded.
class Teacher {
  public:
    /// options.teacher with random weights (the benchmark's).
    Teacher(Backend& backend, const Options& options, int classes, int stream = 1);
    /// The same with the weights of options.teacher_weights. InputError if the file is not given or not that network's.
    static std::unique_ptr<Teacher> load(Backend& backend, const Options& options, int classes, int stream = 1);
    /// Runs on its side stream: join() before the results are used, after what can be done beside it.
    Output operator()(const Var& images, Keep keep = Keep::last) const;
    const Network& network() const { return *network_; }
    const std::string& file() const { return file_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    /// Its BatchNorm in a forward pass: running statistics, or the batch's (what ReviewKD's authors' code does).
    Mode mode() const { return mode_; }
    /// Where it runs: more that is made of its results may be queued behind them there.
    int stream() const { return stream_; }

  private:
    Parameters parameters_;
    std::unique_ptr<Network> network_;
    std::string file_;
    std::map<std::string, std::string> metadata_;
    Mode mode_;
    int stream_;
};

/// The generation (see start_key) of who learns from a network with these metadata; a stranger's learnt from labels alone.
int generation_after(const std::map<std::string, std::string>& metadata);

using Teachers = std::vector<std::unique_ptr<Teacher>>;

/// Completes what --teachers and --teacher-nets say: the files' networks, joined by '+', become options.teacher.
/// InputError: no teacher, a file that does not say its network, a list of another length.
void settle_teachers(Options& options);
/// options.teachers (settled), each on a stream of its own; else the one teacher of options.teacher_weights.
Teachers load_teachers(Backend& backend, const Options& options, int classes);
/// What each answers, side by side: join() before it is used. Of the maps the last alone is kept.
std::vector<Output> look(const Teachers& teachers, const Var& images);

/// T²·mean over the batch of KL(p_t ‖ p_s), p = softmax(logits/T) (Hinton, Vinyals, Dean 2015; docs/papers.md §6.1).
Var kd_loss(const Var& student_logits, const Tensor& teacher_logits, float temperature);

/// γ·CE + α·T²·KL (docs/papers.md §6.1, §6.2, §6.3, §6.4); soft-logits is γ·CE + α·KL. Of several teachers the logits' mean teaches.
class KnowledgeDistillation final : public StudentMethod {
  public:
    KnowledgeDistillation(Backend& backend, const Options& options, int classes, const Teacher& teacher);
    KnowledgeDistillation(Backend& backend, const Options& options, int classes, const Teachers& teachers);
    std::vector<std::string> loss_names() const override { return {"loss_ce", "loss_kd"}; }
    StepResult step(const Batch& batch) override;

  private:
    KnowledgeDistillation(Backend& backend, const Options& options, int classes, std::vector<const Teacher*> teachers);
    std::vector<const Teacher*> teachers_;
    float temperature_, alpha_, gamma_;
    bool squared_;  ///< the factor T²
};

}  // namespace distill
