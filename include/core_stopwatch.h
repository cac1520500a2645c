// core_stopwatch.h: how long a device took for a part of its work.
// defines: Stopwatch
#pragma once
#include <cstddef>

namespace distill {

/// Points in a device's work and the time between them.
class Stopwatch {
  public:
    virtual ~Stopwatch() = default;
    virtual void restart() = 0;                                   ///< forgets all marks
    virtual size_t mark() = 0;                                    ///< a point after everything queued so far; the number to ask for it by
    virtual double ms_between(size_t earlier, size_t later) = 0;  ///< waits until the later one is reached
};

}  // namespace distill
