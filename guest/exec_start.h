/* execStart: joining its parts, starting the process, reporting how that went. */
#pragma once
#include "cgroup.h"
#include "session.h"
#include "spawn_child.h"

void exec_open(struct sessions *sessions, const struct frame *frame);
/* Says that no process was started, and ends the stream. */
void exec_refuse(struct sessions *sessions, uint32_t stream, uint8_t kind, int error, const char *message);
/*
 * A place for a stream of another kind whose opening frame has arrived whole; NULL if it is refused, which is told.
 * `is_decoded`: whether the frame could be read. `runs_paused`: whether such a process may start in a paused sandbox.
 */
struct session *exec_claim(struct sessions *sessions, const struct stream_kind *kind, const struct frame *frame,
                           bool is_decoded, bool runs_paused);
/* Starts the process of a stream that was just claimed; it goes on with `run`. May release the session. */
void exec_begin(struct sessions *sessions, struct session *session, const struct msg_exec_start *start,
                child_main *run);
/* The same, in another group than that of the programs. */
void exec_begin_in(struct sessions *sessions, struct session *session, const struct msg_exec_start *start,
                   child_main *run, struct cgroup *cgroup);
/* Looks whether the exec worked. May release the session. */
void exec_step_start(struct sessions *sessions, struct session *session);
void exec_forget_start(struct sessions *sessions, struct session *session);
