/* execStart: joining its parts, starting the process, reporting how that went. */
#pragma once
#include "session.h"

void exec_open(struct sessions *sessions, const struct frame *frame);
/* Looks whether the exec worked. May release the session. */
void exec_step_start(struct sessions *sessions, struct session *session);
void exec_forget_start(struct sessions *sessions, struct session *session);
