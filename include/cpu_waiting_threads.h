// cpu_waiting_threads.h: how OpenMP's threads wait for each other.
// defines: let_threads_wait_quietly
#pragma once

namespace distill {

/// Sees to it that a thread which waits soon gives its core away. To be called first in main(): by default libgomp's threads spin for
/// milliseconds, and on a machine with anything else to do they keep the cores from the threads they wait for (a training step then takes
/// 5 to 20 times as long). libgomp reads how long from the environment before main(), so the program starts itself once more, with
/// GOMP_SPINCOUNT set: same process, arguments and files. Nothing happens where the user has set OMP_WAIT_POLICY or GOMP_SPINCOUNT, which
/// also ends this, and where the program cannot be started again. Processes started by this one inherit the setting.
void let_threads_wait_quietly(char** argv);

}  // namespace distill
