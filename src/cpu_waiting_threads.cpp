#include "cpu_waiting_threads.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace distill {

Scheduling scheduling() {
    Scheduling now{};
    if (::syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) != 0) now.policy = Scheduling::unknown;
    return now;
}

bool take_short_turns() {
    Scheduling mine = scheduling();
    if (mine.policy != Scheduling::usual) return false;
    mine.size = sizeof mine;
    mine.turn_ns = shortest_turn_ns;
    return ::syscall(SYS_sched_setattr, 0, &mine, 0) == 0;
}

void let_threads_wait_quietly(char** argv) {
    // Started as /proc/self/exe, the process would be called exe in the lists of ps and top.
    ::prctl(PR_SET_NAME, program_invocation_short_name);
    take_short_turns();
    if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
    const char* spins = "1000";  // libgomp's own count where it runs more threads than there are cores
    if (::setenv("GOMP_SPINCOUNT", spins, 1) == 0) ::execv("/proc/self/exe", argv);
}

}  // namespace distill
