/*
 * The least program that boots a sandbox's kernel and disks through libkrun: what `create` is compared with.
 *
 *   baseline LIBKRUNFW LIBKRUN MEMORY_MIB CONSOLE BOOT_FRAME DISK...
 *
 * Disks come as `ro:PATH` or `rw:PATH`, in the guest's order. BOOT_FRAME is a file with the `boot` frame that the agent
 * is to get, encoded by the bench. The agent's first frame must be `hello`; one line is printed at its `ready`, and the
 * process ends with the VM.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_BYTES = 12, PAYLOAD_BYTES_MAX = 64 * 1024, TYPE_OFFSET = 8, TYPE_HELLO = 0x01, TYPE_READY = 0x03 };

static void die(const char *what) {
    fprintf(stderr, "baseline: %s\n", what);
    exit(1);
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void *library;

static void *symbol(const char *name) {
    void *address = dlsym(library, name);
    if (address == NULL) die(name);
    return address;
}

#define CALL(result, name, types, ...) \
    do { \
        if (((result) = ((int32_t(*) types)symbol(#name))(__VA_ARGS__)) < 0) die(#name); \
    } while (0)

static void *enter(void *context) {
    int32_t result;
    CALL(result, krun_start_enter, (uint32_t), (uint32_t)(uintptr_t)context);
    return NULL;
}

static uint32_t configure(int memory_mib, const char *console, int agent_fd, int count, char **disks) {
    static const char *const WORDS[] = {"root=/dev/vda", "rootfstype=erofs", "ro", "init=/agent", NULL};
    int32_t result, context, port;
    CALL(result, krun_init_log, (uint32_t, uint32_t, uint32_t, uint32_t), (uint32_t)-1, 2, 2, 1);
    CALL(context, krun_create_ctx, (void), );
    CALL(result, krun_set_vm_config, (uint32_t, uint8_t, uint32_t), context, 1, memory_mib);
    CALL(result, krun_set_env, (uint32_t, const char *const *), context, WORDS);
    CALL(result, krun_set_console_output, (uint32_t, const char *), context, console);
    CALL(result, krun_disable_implicit_vsock, (uint32_t), context);
    for (int i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof id, "disk%d", i);
        bool is_read_only = strncmp(disks[i], "ro:", 3) == 0;
        CALL(result, krun_add_disk3, (uint32_t, const char *, const char *, uint32_t, bool, bool, uint32_t), context, id,
             disks[i] + 3, 0, is_read_only, false, 2);
    }
    CALL(port, krun_add_virtio_console_multiport, (uint32_t), context);
    CALL(result, krun_add_console_port_inout, (uint32_t, uint32_t, const char *, int, int), context, port, "agent", agent_fd,
         agent_fd);
    return (uint32_t)context;
}

static void read_all(int fd, unsigned char *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t count = read(fd, bytes + done, size - done);
        if (count <= 0) die("the agent hung up");
        done += (size_t)count;
    }
}

static void expect(int fd, int type) {
    static unsigned char header[HEADER_BYTES], payload[PAYLOAD_BYTES_MAX];
    read_all(fd, header, sizeof header);
    uint32_t size = header[0] | header[1] << 8 | (uint32_t)header[2] << 16 | (uint32_t)header[3] << 24;
    if (size > sizeof payload) die("a frame that is none");
    read_all(fd, payload, size);
    if (header[TYPE_OFFSET] != type) die("an unexpected frame");
}

static void send_file(int fd, const char *path) {
    unsigned char bytes[PAYLOAD_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    size_t size = file == NULL ? 0 : fread(bytes, 1, sizeof bytes, file);
    if (size == 0 || write(fd, bytes, size) != (ssize_t)size) die("cannot send the boot frame");
    fclose(file);
}

int main(int count, char **arguments) {
    double start_ms = now_ms();
    int ends[2];
    pthread_t thread;
    if (count < 7) die("see the source for the arguments");
    if (dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL) == NULL) die(dlerror());
    if ((library = dlopen(arguments[2], RTLD_NOW)) == NULL) die(dlerror());
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) die("socketpair");
    uintptr_t context = configure(atoi(arguments[3]), arguments[4], ends[1], count - 6, arguments + 6);
    double configured_ms = now_ms();
    if (pthread_create(&thread, NULL, enter, (void *)context) != 0) die("pthread_create");
    expect(ends[0], TYPE_HELLO);
    double hello_ms = now_ms();
    send_file(ends[0], arguments[5]);
    expect(ends[0], TYPE_READY);
    double ready_ms = now_ms();
    printf("{\"engineMs\":%.1f,\"agentMs\":%.1f,\"readyMs\":%.1f}\n", configured_ms - start_ms, hello_ms - start_ms,
           ready_ms - start_ms);
    fflush(stdout);
    _exit(0);
}
