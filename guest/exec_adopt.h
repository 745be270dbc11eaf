/* A detached program goes on under another stream number: another client has taken it over. */
#pragma once
#include "session.h"

/* Handles execAdopt; replies either way. */
void exec_adopt(struct sessions *sessions, const struct frame *frame);
