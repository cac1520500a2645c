#include "cpu_waiting_threads.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace distill {

void let_threads_wait_quietly(char** argv) {
    // Started as /proc/self/exe, the process would be called exe in the lists of ps and top.
    ::prctl(PR_SET_NAME, program_invocation_short_name);
    if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
    const char* spins = "1000";  // libgomp's own count where it runs more threads than there are cores
    if (::setenv("GOMP_SPINCOUNT", spins, 1) == 0) ::execv("/proc/self/exe", argv);
}

}  // namespace distill
