/*
 * The boot disk has the agent and these empty directories: /dev /proc /sys /image /upper /root.
 *
 *   /image  the image, read-only ──┐
 *   /upper  the sandbox's writes ──┴─▶ /root, an overlay, which is then moved over / and becomes the root
 */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "disks.h"
#include "files.h"
#include "root_directory.h"

enum { DEVICE_BYTES_MAX = 64, TYPE_BYTES_MAX = 32, OPTIONS_BYTES_MAX = 128 };

__attribute__((format(printf, 3, 4))) static bool fail(struct boot_failure *failure, uint8_t stage,
                                                       const char *format, ...) {
    *failure = (struct boot_failure){.stage = stage, .error = errno};
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    if (size >= 0 && (size_t)size < sizeof failure->message)
        snprintf(failure->message + size, sizeof failure->message - (size_t)size, ": %s", strerror(failure->error));
    return false;
}

/* mount(2) that takes "it is there already" for an answer: the kernel may have mounted /dev. */
static bool mount_pseudo(const char *type, const char *path, unsigned long flags, const char *options) {
    return mount(type, path, type, flags, options) == 0 || errno == EBUSY;
}

bool boot_prepare(struct boot_handles *handles) {
    *handles = (struct boot_handles){.upper_fd = -1, .proc_fd = -1};
    if (!mount_pseudo("devtmpfs", "/dev", MS_NOSUID, "mode=0755")) return false;
    if (!mount_pseudo("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) return false;
    if (!mount_pseudo("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) return false;
    handles->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return handles->proc_fd >= 0;
}

/* Mounts a disk of the message. False with errno. */
static bool mount_device(struct text device_text, const char *type, const char *path, unsigned long flags,
                         const char *options) {
    char device[DEVICE_BYTES_MAX];
    errno = EINVAL;
    if (!text_to_string(device_text, device, sizeof device)) return false;
    errno = disk_mount(device, path, type, flags, options);
    return errno == 0;
}

static bool mount_image(const struct msg_boot *boot, struct boot_failure *failure) {
    char type[TYPE_BYTES_MAX];
    char port[DEVICE_BYTES_MAX];
    errno = EINVAL;
    if (!text_to_string(boot->image_type, type, sizeof type)) return fail(failure, BOOT_STAGE_IMAGE, "image type");
    if (strcmp(type, "fuse") == 0) {
        if (!text_to_string(boot->image_device, port, sizeof port)) return fail(failure, BOOT_STAGE_IMAGE, "port");
        errno = root_directory_mount(port, "/image");
        return errno == 0 || fail(failure, BOOT_STAGE_IMAGE, "mount the directory of the host");
    }
    if (mount_device(boot->image_device, type, "/image", MS_RDONLY, NULL)) return true;
    return fail(failure, BOOT_STAGE_IMAGE, "mount image as %s", type);
}

static bool mount_upper(const struct msg_boot *boot, struct boot_handles *handles, struct boot_failure *failure) {
    bool is_in_memory = boot->upper_device.size == 0;
    char type[TYPE_BYTES_MAX], options[OPTIONS_BYTES_MAX], device[DEVICE_BYTES_MAX];
    errno = EINVAL;
    if (!text_to_string(boot->upper_type, type, sizeof type) ||
        !text_to_string(boot->upper_options, options, sizeof options) ||
        !text_to_string(boot->upper_device, device, sizeof device))
        return fail(failure, BOOT_STAGE_UPPER, "type and options of upper");
    if (boot->upper_flags & MOUNT_FLAG_NO_DISCARD) {
        errno = disk_forbid_discard(device);
        if (errno != 0) return fail(failure, BOOT_STAGE_UPPER, "forbid discards of upper");
    }
    errno = disk_mount(is_in_memory ? type : device, "/upper", type, MS_NOATIME, options);
    if (errno != 0) return fail(failure, BOOT_STAGE_UPPER, "mount upper as %s", type);
    if (!directory_ensure("/upper/upper", 0755) || !directory_ensure("/upper/work", 0755))
        return fail(failure, BOOT_STAGE_UPPER, "make upper and work");
    if (is_in_memory) return true;
    handles->upper_fd = open("/upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return handles->upper_fd >= 0 || fail(failure, BOOT_STAGE_UPPER, "open upper");
}

static bool switch_root(struct boot_failure *failure) {
    static const char LAYERS[] = "lowerdir=/image,upperdir=/upper/upper,workdir=/upper/work";
    if (mount("overlay", "/root", "overlay", 0, LAYERS) != 0)
        return fail(failure, BOOT_STAGE_OVERLAY, "mount overlay");
    /* Not pivot_root(2): the boot disk has no room for an old root, and stays mounted below anyway. */
    if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return fail(failure, BOOT_STAGE_SWITCH_ROOT, "move into the root");
    return true;
}

static bool mount_pseudo_filesystems(struct boot_failure *failure) {
    static const struct {
        const char *type, *path;
        unsigned long flags;
        const char *options;
        bool is_optional; /* not in every kernel */
    } MOUNTS[] = {
        {"devtmpfs", "/dev", MS_NOSUID, "mode=0755", false},
        {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5", false},
        {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", false},
        {"mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true},
        {"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
        {"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
    };
    for (size_t i = 0; i < sizeof MOUNTS / sizeof *MOUNTS; i++) {
        bool is_mounted = directory_ensure(MOUNTS[i].path, 0755) &&
                          mount_pseudo(MOUNTS[i].type, MOUNTS[i].path, MOUNTS[i].flags, MOUNTS[i].options);
        if (!is_mounted && !MOUNTS[i].is_optional)
            return fail(failure, BOOT_STAGE_PSEUDO_FILESYSTEMS, "mount %s", MOUNTS[i].path);
    }
    /* As under systemd: containers inside the sandbox expect it. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) != 0)
        return fail(failure, BOOT_STAGE_PSEUDO_FILESYSTEMS, "share mounts");
    return true;
}

static bool make_device_links(struct boot_failure *failure) {
    static const char *const LINKS[][2] = {
        {"/proc/self/fd", "/dev/fd"},
        {"/proc/self/fd/0", "/dev/stdin"},
        {"/proc/self/fd/1", "/dev/stdout"},
        {"/proc/self/fd/2", "/dev/stderr"},
    };
    for (size_t i = 0; i < sizeof LINKS / sizeof *LINKS; i++)
        if (symlink(LINKS[i][0], LINKS[i][1]) != 0 && errno != EEXIST)
            return fail(failure, BOOT_STAGE_PSEUDO_FILESYSTEMS, "link %s", LINKS[i][1]);
    return true;
}

static bool raise_loopback(struct boot_failure *failure) {
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    is_up = is_up && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (!is_up) fail(failure, BOOT_STAGE_NETWORK, "raise the loopback interface");
    if (fd >= 0) close(fd);
    return is_up;
}

static bool write_hostname(struct text hostname, struct boot_failure *failure) {
    char line[PATH_BYTES_MAX];
    if (hostname.size == 0) return true;
    if (sethostname(hostname.bytes, hostname.size) != 0)
        return fail(failure, BOOT_STAGE_FILES, "set the host name");
    snprintf(line, sizeof line, "%.*s\n", (int)hostname.size, hostname.bytes);
    return file_replace("/etc/hostname", text_of(line)) || fail(failure, BOOT_STAGE_FILES, "write /etc/hostname");
}

static bool write_files(const struct msg_boot *boot, struct boot_failure *failure) {
    bool has_files = boot->hostname.size > 0 || boot->hosts.size > 0 || boot->resolv_conf.size > 0;
    if (has_files && !directory_ensure("/etc", 0755)) return fail(failure, BOOT_STAGE_FILES, "make /etc");
    if (!write_hostname(boot->hostname, failure)) return false;
    /* Keeps lines that were added to it. */
    bool has_hosts = boot->hosts.size == 0 || file_begins_with("/etc/hosts", boot->hosts);
    if (!has_hosts && !file_replace("/etc/hosts", boot->hosts))
        return fail(failure, BOOT_STAGE_FILES, "write /etc/hosts");
    if (boot->resolv_conf.size > 0 && !file_replace("/etc/resolv.conf", boot->resolv_conf))
        return fail(failure, BOOT_STAGE_FILES, "write /etc/resolv.conf");
    return true;
}

bool boot_assemble(const struct msg_boot *boot, struct boot_handles *handles, struct boot_failure *failure) {
    if (boot->clock_seconds > 0 && !clock_set(boot->clock_seconds, boot->clock_nanoseconds))
        return fail(failure, BOOT_STAGE_OTHER, "set the clock");
    umask(0);
    bool is_assembled = mount_image(boot, failure) && mount_upper(boot, handles, failure) && switch_root(failure) &&
                        mount_pseudo_filesystems(failure) && make_device_links(failure) &&
                        raise_loopback(failure) && write_files(boot, failure);
    umask(022);
    return is_assembled;
}
