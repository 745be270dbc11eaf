/* Input of a stream: frames to a descriptor whose reader may take its time. */
#pragma once
#include "session.h"

void input_open(struct input *input, int fd, enum input_end end);
void input_close(struct input *input);
/* False if the frame exceeds the window. */
bool input_receive(struct input *input, struct text data, bool is_end);
/* Writes what waits, ends the input if that is due, sends credit and errors. */
void input_step(struct sessions *sessions, struct session *session);
bool input_wants_to_write(const struct input *input);
