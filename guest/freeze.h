/*
 * Freeze, to copy the disk from outside: everything written so far is on the disk of the upper file system, its journal is
 * empty, and programs that write wait. It thaws by itself after the time that the host gave: a host that is gone must not
 * leave programs waiting.
 */
#pragma once
#include <sys/types.h>

#include "frame.h"

enum freeze_stage {
    FREEZE_OFF,
    FREEZE_BEGINNING, /* a child is at it: bringing everything to disk takes as long as it takes */
    FREEZE_DUE,       /* it has ended; to be told */
    FREEZE_ON,
};

struct freezing {
    enum freeze_stage stage;
    int upper_fd; /* -1: there is no such file system */
    pid_t pid;
    int error;
    uint32_t token;
    uint32_t lease_ms;
    uint64_t deadline_ms;
};

/* Answers now, or from a later freeze_step(). While it is on, asking again renews the time. */
void freeze_set(struct freezing *freezing, struct send_queue *queue, const struct msg_freeze *message);
/* A child was reaped. False if it belongs to other code. */
bool freeze_reaped(struct freezing *freezing, pid_t pid, int wait_status);
/* Tells what is due; thaws when the time is over. */
void freeze_step(struct freezing *freezing, struct send_queue *queue);
/* Milliseconds until freeze_step() has something to do, or -1. */
int freeze_timeout_ms(const struct freezing *freezing);
/* Lets writes go on. */
void freeze_end(struct freezing *freezing);
