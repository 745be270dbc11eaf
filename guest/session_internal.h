/* Between the files that make up session.h; nobody else includes this. */
#pragma once
#include "session.h"

/* Flags of a frame of this session. */
static inline uint8_t session_flags(const struct session *session) {
    return session->is_abandoned ? FRAME_FLAG_LOG_ONLY : 0;
}

/* session.c */
struct session *session_find(struct sessions *sessions, uint32_t stream);
void session_kill(const struct session *session);
/* A place for a stream, without process or channels yet; NULL if there is none. */
struct session *session_claim(struct sessions *sessions, uint32_t stream);
/* Frees the place; the stream's last frame has been queued. */
void session_release(struct sessions *sessions, struct session *session);

/* session_start.c */
void session_exec_start(struct sessions *sessions, const struct frame *frame);
void session_forget_start(struct sessions *sessions, struct session *session);
/* Looks whether the exec worked. May release the session. */
void session_step_start(struct sessions *sessions, struct session *session);

/* session_input.c */
void input_open(struct input *input, int fd);
void input_close(struct input *input);
/* False if the frame exceeds the window. */
bool input_receive(struct input *input, bool is_tty, struct text data, bool is_end);
void input_step(struct sessions *sessions, struct session *session);
bool input_wants_to_write(const struct input *input);

/* session_output.c */
void output_open(struct output *output, int fd, uint8_t channel);
void output_close(struct output *output);
/* Whether the send queue has room for a frame that is worth while. */
bool output_has_room(const struct sessions *sessions, const struct session *session);
bool output_wants_to_read(const struct session *session, const struct output *output);
/* The process has ended: notes what it left behind. */
void output_mark_exit(struct output *output, bool is_tty);
bool output_credit(struct output *output, uint32_t bytes);
bool output_read(struct sessions *sessions, struct session *session, struct output *output);
