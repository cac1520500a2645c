#include "core_backend.h"

#include "base_error.h"

namespace distill {

void Backend::use_stream(int stream) {
    if (stream < 0) failure("Backend: stream ", stream, "; streams count from 0");
    if (stream_ == 0 && stream != 0) ++turn_;
    select_stream(stream);
    stream_ = stream;
}

void Backend::fork(int side) {
    if (side < 1) failure("Backend::fork: stream ", side, "; side streams count from 1");
    if (side != stream_) use_stream(side);
    forked_.insert(side);
    if (const auto [last, first_time] = waited_.try_emplace(side, turn_); first_time || last->second != turn_) {
        last->second = turn_;
        wait(0);
    }
}

void Backend::join() {
    if (stream_ != 0) use_stream(0);
    for (const int side : forked_) wait(side);
    forked_.clear();
    arena().joined();
}

void Backend::begin_step() {
    join();
    arena().begin_step();
}

}  // namespace distill
