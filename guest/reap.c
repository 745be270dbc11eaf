/* Children that have ended: the sessions' own, and in a VM every orphan. */
#include "agent.h"
#include "exec.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIGNALS_AT_ONCE = 8 };

void agent_reap(struct agent *agent) {
    if (!agent->is_signal_ready) return;
    agent->is_signal_ready = false;
    /* Several ends may be one SIGCHLD: what it tells is only that there is something to wait for. */
    struct signalfd_siginfo signals[SIGNALS_AT_ONCE];
    while (read(agent->signal_fd, signals, sizeof signals) > 0) {
    }
    int status;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG))
        if (!freeze_reaped(&agent->freezing, pid, status) && !processes_reaped(&agent->listing, pid, status))
            exec_reaped(&agent->sessions, pid, status);
}

bool agent_has_children(void) {
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}
