/* See fs_attributes.h. */
#include "fs_attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs_answer.h"
#include "fs_path.h"
#include "fs_server.h"
#include "user.h"

/* statx(2), for the time of creation: musl has no name for it yet. The layout is the kernel's. */
struct statx_time {
    int64_t seconds;
    uint32_t nanoseconds;
    int32_t spare;
};
struct statx_result {
    uint32_t mask, block_size;
    uint64_t attributes;
    uint32_t links, uid, gid;
    uint16_t mode, spare_mode;
    uint64_t inode, size, blocks, attributes_mask;
    struct statx_time accessed, created, changed, modified;
    uint32_t special_major, special_minor, device_major, device_minor;
    uint64_t spare[14];
};
_Static_assert(sizeof(struct statx_result) == 256, "as the kernel has it");
enum { STATX_BASIC = 0x7ff, STATX_CREATED = 0x800, STATX_EMPTY_PATH = 0x1000 };

/* The wire's numbers are read by JavaScript, where larger ones are not exact. */
static uint64_t safe(uint64_t value) {
    const uint64_t largest = (UINT64_C(1) << 53) - 1;
    return value < largest ? value : largest;
}

/* Nanoseconds since 1970, as far as 64 bits go: from 1677 to 2262. */
static int64_t nanoseconds(struct statx_time time) {
    const int64_t most = INT64_MAX / 1000000000 - 1;
    if (time.seconds > most) return INT64_MAX;
    if (time.seconds < -most) return INT64_MIN;
    return time.seconds * 1000000000 + time.nanoseconds;
}

static uint8_t kind_of(uint16_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR: return FILE_KIND_DIRECTORY;
        case S_IFLNK: return FILE_KIND_SYMLINK;
        case S_IFIFO: return FILE_KIND_FIFO;
        case S_IFSOCK: return FILE_KIND_SOCKET;
        case S_IFCHR: return FILE_KIND_CHARACTER_DEVICE;
        case S_IFBLK: return FILE_KIND_BLOCK_DEVICE;
        default: return FILE_KIND_FILE;
    }
}

int attributes_read(int fd, const char *name, bool follow, struct file_attributes *attributes) {
    struct statx_result result = {0};
    int flags = (follow ? 0 : AT_SYMLINK_NOFOLLOW) | (*name == '\0' ? STATX_EMPTY_PATH : 0);
    if (syscall(SYS_statx, fd, name, flags, STATX_BASIC | STATX_CREATED, &result) != 0) return errno;
    *attributes = (struct file_attributes){
        .kind = kind_of(result.mode),
        .mode = result.mode & 07777,
        .uid = result.uid,
        .gid = result.gid,
        .size = safe(result.size),
        .allocated = safe(result.blocks * 512),
        .links = result.links,
        .device = (int64_t)makedev(result.device_major, result.device_minor),
        .inode = (int64_t)result.inode,
        .special = (int64_t)makedev(result.special_major, result.special_minor),
        .accessed_ns = nanoseconds(result.accessed),
        .modified_ns = nanoseconds(result.modified),
        .changed_ns = nanoseconds(result.changed),
        .created_ns = result.mask & STATX_CREATED ? nanoseconds(result.created) : INT64_MIN,
    };
    return 0;
}

void fs_stat(struct reader *reader) {
    struct file_stat request;
    struct path path;
    struct file_attributes attributes;
    if (!file_stat_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, FILE_FLAG_NO_FOLLOW);
    if (error == 0) error = path_take(request.path, &path);
    if (error == 0)
        error = attributes_read(AT_FDCWD, path.bytes, !(request.flags & FILE_FLAG_NO_FOLLOW), &attributes);
    if (error == 0)
        answer_attributes(&attributes);
    else
        answer_failed(error, NULL);
}

void fs_access(struct reader *reader) {
    struct file_access request;
    struct path path;
    if (!file_access_decode(reader, &request)) server_refuse();
    int error = request.mode > (R_OK | W_OK | X_OK) ? EINVAL : path_take(request.path, &path);
    if (error == 0 && access(path.bytes, (int)request.mode) != 0) error = errno;
    answer_result(error);
}

void fs_chmod(struct reader *reader) {
    struct file_chmod request;
    struct path path;
    if (!file_chmod_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, 0);
    if (error == 0 && request.mode > 07777) error = EINVAL;
    if (error == 0) error = path_take(request.path, &path);
    if (error == 0 && chmod(path.bytes, request.mode) != 0) error = errno;
    answer_result(error);
}

/* Turns `user`, `user:group` or `:group` into numbers; what it does not name is unchanged. */
static int resolve_owner(struct text owner, uint32_t *uid, uint32_t *gid) {
    static struct identity identity;
    char name[256] = "0"; /* before a group alone: any user does */
    if (owner.size >= sizeof name - 1 || memchr(owner.bytes, '\0', owner.size) != NULL) return EINVAL;
    bool is_group_alone = owner.bytes[0] == ':';
    memcpy(name + (is_group_alone ? 1 : 0), owner.bytes, owner.size);
    name[owner.size + (is_group_alone ? 1 : 0)] = '\0';
    if (identity_resolve(name, &identity) != NULL) return EINVAL;
    *uid = is_group_alone ? FILE_OWNER_UNCHANGED : identity.uid;
    *gid = strchr(name, ':') == NULL ? FILE_OWNER_UNCHANGED : identity.gid;
    return 0;
}

void fs_chown(struct reader *reader) {
    struct file_chown request;
    struct path path;
    if (!file_chown_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, FILE_FLAG_NO_FOLLOW);
    if (error == 0) error = path_take(request.path, &path);
    if (error == 0 && request.owner.size > 0) error = resolve_owner(request.owner, &request.uid, &request.gid);
    int flags = request.flags & FILE_FLAG_NO_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    if (error == 0 && fchownat(AT_FDCWD, path.bytes, request.uid, request.gid, flags) != 0) error = errno;
    answer_result(error);
}

void fs_utimes(struct reader *reader) {
    struct file_utimes request;
    struct path path;
    if (!file_utimes_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, FILE_FLAG_NO_FOLLOW | FILE_FLAG_SET_ACCESSED | FILE_FLAG_SET_MODIFIED);
    if (error == 0) error = path_take(request.path, &path);
    struct timespec times[2] = {time_of(request.accessed_ns), time_of(request.modified_ns)};
    if (!(request.flags & FILE_FLAG_SET_ACCESSED)) times[0].tv_nsec = UTIME_OMIT;
    if (!(request.flags & FILE_FLAG_SET_MODIFIED)) times[1].tv_nsec = UTIME_OMIT;
    int flags = request.flags & FILE_FLAG_NO_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    if (error == 0 && utimensat(AT_FDCWD, path.bytes, times, flags) != 0) error = errno;
    answer_result(error);
}

void fs_truncate(struct reader *reader) {
    struct file_truncate request;
    struct path path;
    if (!file_truncate_decode(reader, &request)) server_refuse();
    int error = path_take(request.path, &path);
    if (error == 0 && truncate(path.bytes, (off_t)request.size) != 0) error = errno;
    answer_result(error);
}
