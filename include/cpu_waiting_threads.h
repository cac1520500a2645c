// cpu_waiting_threads.h: how OpenMP's threads wait for each other.
// defines: Scheduling, scheduling, shortest_turn_ns, take_short_turns, let_threads_wait_quietly
#pragma once
#include <cstdint>

namespace distill {

/// Linux's struct sched_attr, as sched_setattr(2) has it; the kernel's header cannot be included beside C++'s <thread>.
struct Scheduling {
    static constexpr uint32_t usual = 0, unknown = ~0u;  ///< policies
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t turn_ns, deadline_ns, period_ns;  ///< the first: of a usual thread, how long it runs when its turn comes; 0 before Linux 6.12
};
/// The calling thread's.
Scheduling scheduling();

constexpr uint64_t shortest_turn_ns = 100'000;  ///< that Linux gives

/// Asks for short turns on the core, which come sooner: a thread that others wait for need not wait itself until its neighbour's turn of
/// some milliseconds is over. Shares, priority and policy stay as they are. Linux has it from 6.12 on, older ones ignore it. Threads and
/// processes started from here on inherit it. Returns whether the system took it; false under another policy than the usual one.
bool take_short_turns();

/// Takes short turns, and sees to it that a thread which waits soon gives its core away. To be called first in main(): by default libgomp's
/// threads spin for milliseconds, and on a machine with anything else to do they keep the cores from the threads they wait for (a training
/// step then takes 5 to 20 times as long). libgomp reads how long from the environment before main(), so the program starts itself once
/// more, with GOMP_SPINCOUNT set: same process, arguments and files. It does not where the user has set OMP_WAIT_POLICY or GOMP_SPINCOUNT,
/// which also ends this, and where it cannot be started again. Processes started by this one inherit the setting.
void let_threads_wait_quietly(char** argv);

}  // namespace distill
