/*
 * UDP flows: datagrams between one client of a published port and a server in the guest, each a frame of its own. A flow
 * is a session without a process, whose only descriptor is a connected socket. Nothing is promised: what does not fit
 * anywhere is dropped, so that nothing waits.
 */
#pragma once
#include "session_internal.h"

void udp_open(struct sessions *sessions, const struct frame *frame);
/* Sends a datagram to the server. */
void udp_send(struct session *session, struct text data);
/* Takes one datagram from the server. False if there is none, or no room for one. */
bool udp_read(struct sessions *sessions, struct session *session);
/* Ends the flow if nobody wants it any more. May release the session. */
void udp_step(struct sessions *sessions, struct session *session);
