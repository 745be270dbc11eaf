/* What a forked child does until it is the program that was asked for. */
#pragma once
#include <stdnoreturn.h>

#include "limits.h"
#include "user.h"

/* The program's ends. With a pseudo-terminal stdin_fd is all three, and the other two are -1. */
struct child_files {
    int status_fd;
    int stdin_fd;
    int stdout_fd;
    int stderr_fd;
};

/* What a forked child does; it never returns. */
typedef void child_main(const struct msg_exec_start *start, const struct child_files *files);

/* Becomes the program: a child_main. */
noreturn void child_run(const struct msg_exec_start *start, const struct child_files *files);

/*
 * What every child does first: takes its ends, gives up what was the agent's, and takes on the user and the limits. Fails to
 * the status pipe, which is left open.
 */
void child_prepare(const struct msg_exec_start *start, const struct child_files *files, struct identity *identity);
/* Tells the agent that the child runs: where no exec closes the status pipe. */
void child_started(void);
/* `text` as a C string of its own, or a failure to the status pipe. */
char *child_string(struct text text, const char *what);
/* Ends the child, before child_started(), with a failure that the client is told. */
noreturn void child_fail(int kind, int error, const char *what);
