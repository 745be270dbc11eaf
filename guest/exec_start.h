/* execStart: joining its parts, starting the process, reporting how that went. */
#pragma once
#include "session.h"
#include "spawn_child.h"

void exec_open(struct sessions *sessions, const struct frame *frame);
/* Starts the process of a stream that was just claimed; it goes on with `run`. May release the session. */
void exec_begin(struct sessions *sessions, struct session *session, const struct msg_exec_start *start,
                child_main *run);
/* Looks whether the exec worked. May release the session. */
void exec_step_start(struct sessions *sessions, struct session *session);
void exec_forget_start(struct sessions *sessions, struct session *session);
