/*
 * What it costs this machine to run PROGRAM: fork, exec and wait, COUNT times; prints nanoseconds, one number a line.
 *
 *   fork_exec COUNT PROGRAM
 *
 * Without arguments it does nothing, in the manner of `true`.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int count, char **arguments) {
    if (count == 1) return 0;
    if (count != 3) return 2;
    for (int left = atoi(arguments[1]); left > 0; left--) {
        long long begin = now_ns();
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            execl(arguments[2], arguments[2], (char *)NULL);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) return 1;
        printf("%lld\n", now_ns() - begin);
    }
    return 0;
}
