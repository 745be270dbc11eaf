/* Output of a stream: from a descriptor into frames, as fast as the client gives credit. */
#pragma once
#include "session.h"

void output_open(struct output *output, int fd, uint8_t channel);
void output_close(struct output *output);
/* Whether the send queue has room for a frame that is worth while. */
bool output_has_room(const struct sessions *sessions, const struct session *session);
bool output_wants_to_read(const struct session *session, const struct output *output);
/* The writer has ended: notes what it left behind. */
void output_mark_exit(struct output *output, bool is_tty);
/* False if that is more than a whole window. */
bool output_credit(struct output *output, uint32_t bytes);
/* `read` of a kind whose outputs are byte streams. */
bool outputs_read(struct sessions *sessions, struct session *session);
