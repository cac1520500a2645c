#include "core_work_count.h"

namespace distill {
namespace {

thread_local int64_t total = 0, saved = 0;

}  // namespace

void count_work(int64_t multiply_accumulates) { total += multiply_accumulates; }
void count_saved_work(int64_t multiply_accumulates) { saved += multiply_accumulates; }
int64_t multiply_accumulates() { return total; }
int64_t saved_multiply_accumulates() { return saved; }

}  // namespace distill
