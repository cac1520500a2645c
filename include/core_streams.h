// core_streams.h: work on a side stream, beside stream 0. On a device that runs in order all of this is free.
// defines: OnStream, join
#pragma once
#include "base_error.h"
#include "core_backend.h"

namespace distill {

/// While alive, work goes to a side stream (1, 2, …), behind what stream 0 was given so far and beside what it is given from here on.
/// Nothing else may read the results before join(). Scopes do not nest: side streams know stream 0 alone.
class OnStream {
  public:
    OnStream(Backend& backend, int side) : backend_(backend) {
        if (backend.current_stream() != 0) failure("OnStream: stream ", side, " inside stream ", backend.current_stream());
        backend.fork(side);
    }
    ~OnStream() noexcept(false) { backend_.use_stream(0); }
    OnStream(const OnStream&) = delete;
    OnStream& operator=(const OnStream&) = delete;

  private:
    Backend& backend_;
};

/// Stream 0 waits for all side streams used since the last join.
inline void join(Backend& backend) { backend.join(); }

}  // namespace distill
