/*
 * The list of programs that run in the guest. A child makes it: to read the arguments of a process is to read its memory,
 * which can wait for a disk that is dead. The agent waits for nothing.
 */
#pragma once
#include <sys/types.h>

#include "frame.h"

enum listing_stage {
    LISTING_OFF,
    LISTING_BEGUN, /* a child is at it */
    LISTING_DUE,   /* it has ended; to be told */
};

struct listing {
    enum listing_stage stage;
    pid_t pid;
    int error; /* ETIMEDOUT: the child was killed, and may not have ended yet */
    uint32_t token;
    uint64_t deadline_ms;
    struct listing_page *page; /* shared with the child; NULL before the first question */
};

/* Answers from a later processes_step(). `proc_fd`: a /proc directory, or -1 for the one at /proc. */
void processes_ask(struct listing *listing, struct send_queue *queue, uint32_t token, int proc_fd);
/* A child was reaped. False if it belongs to other code. */
bool processes_reaped(struct listing *listing, pid_t pid, int wait_status);
/* Tells what is due; kills a child that takes too long. */
void processes_step(struct listing *listing, struct send_queue *queue);
/* Milliseconds until processes_step() has something to do, or -1. */
int processes_timeout_ms(const struct listing *listing);
