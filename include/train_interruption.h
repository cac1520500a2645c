// train_interruption.h: what ends a training before its end, with a checkpoint: a signal, or a limit of time (--time-limit).
// defines: catch_interruption, interruption, time_is_up, parsed_duration, duration_text
#pragma once
#include <chrono>
#include <optional>
#include <string>

namespace distill {

/// From now on SIGINT, SIGTERM and SIGHUP (a closed terminal; ignored where nohup ignores it) only set a flag, which the training loop
/// looks at after each step; a second SIGINT or SIGTERM, half a second later or more, ends at once. A `limit` above 0 sets it by itself
/// before this process has lasted so long: a fiftieth of the limit earlier (at least 5 s), and as much as has lain between two looks (a
/// test of the network, a checkpoint).
void catch_interruption(std::chrono::seconds limit = std::chrono::seconds(0));
bool interruption();
/// Was it the limit that set it?
bool time_is_up();

/// "2h45m", "90m", "1h30m15s"; none for anything else, and for more than a year.
std::optional<std::chrono::seconds> parsed_duration(const std::string& text);
/// The same as text; "" for none at all.
std::string duration_text(std::chrono::seconds duration);

}  // namespace distill
