// core_streams.h: work on a side stream, beside stream 0. On a device that runs in order all of this is free.
// defines: OnStream, join, Beside
#pragma once
#include <utility>

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

/// What side streams are making. Stream 0 waits for them where it is first looked at, so what is queued before that runs beside them.
template <class T>
class Beside {
  public:
    Beside(Backend& backend, int side, T made) : backend_(&backend), side_(side), made_(std::move(made)) {}
    /// From stream 0; failure elsewhere, since waiting ends there.
    const T& get() const {
        if (!joined_ && backend_->current_stream() != 0)
            failure("a side stream's work is waited for on stream ", backend_->current_stream(),
                    " ---> look at it on stream 0, or use then()");
        if (!joined_) join(*backend_);
        joined_ = true;
        return made_;
    }
    const T* operator->() const { return &get(); }
    const T& operator*() const { return get(); }
    /// Without waiting: for shapes, which are known at once, and to hand on what is still being made; never for values.
    const T& unjoined() const { return made_; }
    /// What `make` makes of it, queued behind it on its side stream.
    template <class Make>
    auto then(const Make& make) const -> Beside<decltype(make(std::declval<const T&>()))> {
        const OnStream beside(*backend_, side_);
        return {*backend_, side_, make(made_)};
    }

  private:
    Backend* backend_;
    int side_;
    T made_;
    mutable bool joined_ = false;
};

}  // namespace distill
