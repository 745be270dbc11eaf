/* Places for streams: finding, claiming, freeing, abandoning. */
#include "stream_table.h"

#include <assert.h>

#include "stream_input.h"
#include "stream_output.h"

struct session *session_find(struct sessions *sessions, uint32_t stream) {
    for (size_t i = 0; i < sessions->end; i++) {
        struct session *session = &sessions->table[i];
        if (session->stage != SESSION_FREE && session->stream == stream) return session;
    }
    return NULL;
}

struct session *session_claim(struct sessions *sessions, const struct stream_kind *kind, uint32_t stream) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        if (session->stage != SESSION_FREE) continue;
        *session = (struct session){.kind = kind, .stage = SESSION_OPENING, .stream = stream};
        session->input = (struct input){.fd = -1, .is_absent = true, .is_broken = true};
        output_open(&session->outputs[0], -1, MSG_STDOUT);
        output_open(&session->outputs[1], -1, MSG_STDERR);
        if (i >= sessions->end) sessions->end = i + 1;
        return session;
    }
    return NULL;
}

void session_release(struct sessions *sessions, struct session *session) {
    if (session->kind->release != NULL) session->kind->release(sessions, session);
    input_close(&session->input);
    output_close(&session->outputs[0]);
    output_close(&session->outputs[1]);
    *session = (struct session){.stage = SESSION_FREE};
    while (sessions->end > 0 && sessions->table[sessions->end - 1].stage == SESSION_FREE) sessions->end--;
}

void session_abandon(struct sessions *sessions, struct session *session) {
    if (session->is_abandoned) return;
    session->is_abandoned = true;
    session->abandoned_order = sessions->abandoned_count++;
    struct input *input = &session->input;
    if (input->end != INPUT_END_EOT && !input->is_kept) input->is_end_due = true; /* ^D might end a shell */
}

void interest_add(struct interest *interest, int fd, short events, bool *ready) {
    assert(interest->count < POLL_ENTRIES_MAX);
    interest->entries[interest->count] = (struct pollfd){.fd = fd, .events = events};
    interest->ready[interest->count++] = ready;
}
