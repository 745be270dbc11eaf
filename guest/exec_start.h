/* execStart: joining its parts, starting the process, reporting how that went. */
#pragma once
#include "cgroup.h"
#include "session.h"
#include "spawn_child.h"

void exec_open(struct sessions *sessions, const struct frame *frame);
/* Starts the process of a stream that was just claimed; it goes on with `run`. May release the session. */
void exec_begin(struct sessions *sessions, struct session *session, const struct msg_exec_start *start,
                child_main *run);
/* The same, in another group than that of the programs. */
void exec_begin_in(struct sessions *sessions, struct session *session, const struct msg_exec_start *start,
                   child_main *run, struct cgroup *cgroup);
/* Looks whether the exec worked. May release the session. */
void exec_step_start(struct sessions *sessions, struct session *session);
void exec_forget_start(struct sessions *sessions, struct session *session);
