#include "work_count.h"

namespace distill {
namespace {

thread_local int64_t total = 0;

}  // namespace

void count_work(int64_t multiply_accumulates) { total += multiply_accumulates; }
int64_t multiply_accumulates() { return total; }

}  // namespace distill
