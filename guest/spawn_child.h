/* What a forked child does until it is the program that was asked for. */
#pragma once
#include <stdnoreturn.h>

#include "limits.h"

/* The program's ends. With a pseudo-terminal stdin_fd is all three, and the other two are -1. */
struct child_files {
    int status_fd;
    int stdin_fd;
    int stdout_fd;
    int stderr_fd;
};

noreturn void child_run(const struct msg_exec_start *start, const struct child_files *files);
