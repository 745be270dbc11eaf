#include "freeze.h"

#include <errno.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "reply.h"

/* Of <linux/fs.h>, which musl does not bring. */
#define FILE_SYSTEM_FREEZE _IOWR('X', 119, int)
#define FILE_SYSTEM_THAW _IOWR('X', 120, int)

void freeze_end(struct freezing *freezing) {
    if (freezing->upper_fd < 0) return;
    /* Also when it is not on, as a child may have got further than we know. EINVAL: it was not frozen. */
    if (ioctl(freezing->upper_fd, FILE_SYSTEM_THAW, 0) != 0 && errno != EINVAL)
        log_line("cannot thaw the upper file system: %s", strerror(errno));
    if (freezing->stage == FREEZE_ON) freezing->stage = FREEZE_OFF;
    freezing->lease_ms = 0; /* one that is still beginning is over as soon as it has begun */
}

/* syncfs() first: what it writes does not hold up anybody. */
static pid_t start_child(int upper_fd) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    bool is_frozen = syncfs(upper_fd) == 0 && ioctl(upper_fd, FILE_SYSTEM_FREEZE, 0) == 0;
    _exit(is_frozen ? 0 : errno);
}

static void begin(struct freezing *freezing, struct send_queue *queue, const struct msg_freeze *message) {
    freezing->lease_ms = message->lease_ms < FREEZE_LEASE_MS_MAX ? message->lease_ms : FREEZE_LEASE_MS_MAX;
    if (freezing->stage == FREEZE_ON) {
        freezing->deadline_ms = clock_monotonic_ms() + freezing->lease_ms;
        reply_frozen(queue, message->token, true, 0);
        return;
    }
    int error = freezing->upper_fd < 0 ? EOPNOTSUPP : EBUSY;
    if (freezing->upper_fd >= 0 && freezing->stage == FREEZE_OFF) {
        freezing->pid = start_child(freezing->upper_fd);
        error = errno;
        if (freezing->pid > 0) {
            freezing->stage = FREEZE_BEGINNING;
            freezing->token = message->token;
            return;
        }
    }
    reply_frozen(queue, message->token, false, error);
}

void freeze_set(struct freezing *freezing, struct send_queue *queue, const struct msg_freeze *message) {
    if (message->on) {
        begin(freezing, queue, message);
        return;
    }
    bool was_on = freezing->stage == FREEZE_ON;
    freeze_end(freezing);
    reply_frozen(queue, message->token, false, was_on ? 0 : ETIMEDOUT);
}

bool freeze_reaped(struct freezing *freezing, pid_t pid, int wait_status) {
    if (freezing->stage != FREEZE_BEGINNING || freezing->pid != pid) return false;
    freezing->stage = FREEZE_DUE;
    freezing->error = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : EINTR;
    return true;
}

void freeze_step(struct freezing *freezing, struct send_queue *queue) {
    if (freezing->stage == FREEZE_DUE && queue_room(queue) >= REPLY_BYTES_MAX) {
        bool is_frozen = freezing->error == 0;
        freezing->stage = is_frozen ? FREEZE_ON : FREEZE_OFF;
        freezing->deadline_ms = clock_monotonic_ms() + freezing->lease_ms;
        reply_frozen(queue, freezing->token, is_frozen, freezing->error);
    }
    if (freezing->stage == FREEZE_ON && clock_monotonic_ms() >= freezing->deadline_ms) {
        log_line("the upper file system was frozen for too long");
        freeze_end(freezing);
    }
}

int freeze_timeout_ms(const struct freezing *freezing) {
    if (freezing->stage != FREEZE_ON) return -1;
    uint64_t now_ms = clock_monotonic_ms();
    return freezing->deadline_ms > now_ms ? (int)(freezing->deadline_ms - now_ms) : 0;
}
