/*
 * See disk_mount.h. A child mounts, because replaying a journal may take long, and PID 1 must not wait. The contents of the
 * disk may be hostile: only the guest's kernel reads them.
 */
#include "disk_mount.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "disks.h"
#include "exec.h"
#include "exec_start.h"
#include "files.h"
#include "mount_target.h"
#include "stream_output.h"
#include "stream_table.h"

enum { DEVICE_BYTES_MAX = 64, FSTYPE_BYTES_MAX = 32 };

/* The types to try, in this order, if none was given. None of them accepts a disk of another type. */
static const char *const TYPES[] = {"ext4", "xfs", "btrfs", "erofs", "vfat"};

/* The request of the child that is being forked. */
static struct msg_mount_disk opening;

static int mount_any_type(const char *device, const struct path *target, unsigned long bits) {
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        int error = disk_mount(device, target->bytes, TYPES[i], bits | MS_SILENT, NULL);
        /* ENODEV: the kernel does not have this type. The others mean that the disk is of another type. */
        bool is_other = error == EINVAL || error == ENODEV || error == EUCLEAN || error == ESTALE;
        if (!is_other) return error;
    }
    return EINVAL;
}

static const char *reason_of(int error, const char *type) {
    switch (error) {
        case EINVAL:
            return *type == '\0' ? "it has no file system that the guest's kernel knows"
                                 : "it has no such file system, or a damaged one";
        case ENODEV: return "the guest's kernel does not know that type of file system";
        case EROFS: return "it was not unmounted cleanly, and a read-only disk cannot be repaired: mount it writable once";
        default: return "cannot mount the disk";
    }
}

static noreturn void mount_disk(const struct msg_exec_start *start, const struct child_files *files) {
    static struct identity identity;
    static struct path target;
    char device[DEVICE_BYTES_MAX], type[FSTYPE_BYTES_MAX];
    /* Before the agent's files are given up: the request is in its memory still. */
    int error = mount_target_take(opening.target, &target);
    bool is_named = text_to_string(opening.device, device, sizeof device) &&
                    text_to_string(opening.fstype, type, sizeof type) && device[0] == '/';
    if (error == 0 && !is_named) error = EINVAL;
    child_prepare(start, files, &identity);
    if (error == 0) error = mount_target_make(&target, opening.flags);
    if (error != 0) child_fail(EXEC_FAILURE_OTHER, error, "cannot use the target of the mount");
    unsigned long bits = mount_target_bits(opening.flags);
    if (opening.flags & MOUNT_FLAG_NO_DISCARD) error = disk_forbid_discard(device);
    if (error != 0) child_fail(EXEC_FAILURE_OTHER, error, "cannot forbid discards");
    error = *type == '\0' ? mount_any_type(device, &target, bits)
                          : disk_mount(device, target.bytes, type, bits, NULL);
    if (error != 0) child_fail(EXEC_FAILURE_OTHER, error, reason_of(error, type));
    child_started();
    _exit(0);
}

static void disk_open(struct sessions *sessions, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    bool is_decoded = msg_mount_disk_decode(&reader, &opening);
    struct session *session = exec_claim(sessions, &DISK_MOUNT, frame, is_decoded, true);
    if (session == NULL) return;
    struct msg_exec_start start = {0};
    struct cgroup none = {.fd = -1, .leaf_fd = -1}; /* as with other mounts: a pause must not stop it */
    exec_begin_in(sessions, session, &start, mount_disk, &none);
}

static void disk_close(struct sessions *sessions, struct session *session, bool is_gone) {
    (void)is_gone;
    session_abandon(sessions, session);
}

const struct stream_kind DISK_MOUNT = {
    .open_type = MSG_MOUNT_DISK,
    .types = (const uint8_t[]){0},
    .is_process = true,
    .frame_bytes_min = OUTPUT_FRAME_BYTES_MIN,
    .open = disk_open,
    .close = disk_close,
    .stop = exec_stop,
    .step = exec_step,
    .read = outputs_read,
    .interest = exec_interest,
    .release = exec_release,
};
