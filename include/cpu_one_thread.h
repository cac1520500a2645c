// cpu_one_thread.h: small work beside threads that would have to be woken for it.
// defines: OneThread
#pragma once
#include <omp.h>

namespace distill {

/// While it lives and `wanted`, what this thread starts has one thread: for work that is over before another one would have begun.
class OneThread {
  public:
    explicit OneThread(bool wanted) : before_(wanted ? omp_get_max_threads() : 0) {
        if (before_ > 1) omp_set_num_threads(1);
    }
    ~OneThread() {
        if (before_ > 1) omp_set_num_threads(before_);
    }
    OneThread(const OneThread&) = delete;
    OneThread& operator=(const OneThread&) = delete;

  private:
    int before_;
};

}  // namespace distill
