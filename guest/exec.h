/* Programs: one process for each stream, its channels, its exit. */
#pragma once
#include "session.h"

extern const struct stream_kind EXEC;

/* A child was reaped: a program of a stream, or an orphan. */
void exec_reaped(struct sessions *sessions, pid_t pid, int wait_status);
/* Keeps the abandoned streams that only something in the background holds open within their bound. */
void exec_limit_lingering(struct sessions *sessions);

/* ---- operations that other kinds of streams with a process share */

void exec_stop(const struct session *session);
void exec_step(struct sessions *sessions, struct session *session);
void exec_interest(struct session *session, struct interest *interest);
void exec_release(struct sessions *sessions, struct session *session);
/* Abandons the stream with all that its process still says: only programs' output is kept, for the log. */
void exec_drop(struct sessions *sessions, struct session *session);

/* ---- shutdown */

/* Sends `signal` to the group of each program that still runs. */
void exec_signal_all(const struct sessions *sessions, int signal);
/* SIGHUP to those on a terminal: an interactive shell ignores SIGTERM. */
void exec_hang_up_all(const struct sessions *sessions);
