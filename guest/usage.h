/*
 * How much of its memory, disks and network the guest uses: from files of the kernel alone, kept open from before the
 * first program on, so that none can put another one in their place.
 */
#pragma once
#include "frame.h"

struct usage_files {
    int meminfo_fd, diskstats_fd, net_fd; /* -1: not in this kernel */
    int upper_fd;                         /* root of the upper file system; -1 if it is in memory */
};

/* `proc_fd`: a /proc directory, or -1 for the one at /proc. */
void usage_open(struct usage_files *files, int proc_fd, int upper_fd);
/* Answers now: none of these files makes a reader wait. */
void usage_answer(const struct usage_files *files, struct send_queue *queue, uint32_t token);
