/*
 * Both ends of what bench/network.ts measures, without a library between.
 *
 *   net_bench serve PORT                    as a daemon would: each connection says what it wants by its first byte
 *   net_bench down|up ADDRESS PORT MIB      prints MB/s
 *   net_bench rate ADDRESS PORT COUNT       one connection after the other, a byte there and back: prints how many a second
 *   net_bench connect ADDRESS PORT COUNT    prints the median of connect() in milliseconds
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 20, CONNECTIONS_MAX = 100000 };
static char block[BLOCK_BYTES];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void check(int is_good, const char *what) {
    if (is_good) return;
    perror(what);
    exit(1);
}

static void send_all(int fd, long bytes) {
    while (bytes > 0) {
        ssize_t size = write(fd, block, bytes < BLOCK_BYTES ? (size_t)bytes : BLOCK_BYTES);
        check(size > 0, "write");
        bytes -= size;
    }
}

static long receive_all(int fd) {
    long bytes = 0;
    for (ssize_t size = 1; size > 0; bytes += size) {
        size = read(fd, block, BLOCK_BYTES);
        check(size >= 0, "read");
    }
    return bytes;
}

static void serve_one(int fd) {
    char what = 0;
    long bytes = 0;
    check(read(fd, &what, 1) == 1, "read");
    if (what == 'e') {
        check(write(fd, &what, 1) == 1, "write");
        return;
    }
    if (what == 'd') {
        check(read(fd, &bytes, sizeof bytes) == sizeof bytes, "read");
        send_all(fd, bytes);
        return;
    }
    bytes = receive_all(fd);
    check(write(fd, &bytes, sizeof bytes) == sizeof bytes, "write");
}

static void serve(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    check(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4096) == 0, "listen");
    signal(SIGCHLD, SIG_IGN);
    puts("serving");
    fflush(stdout);
    for (;;) {
        int connection = accept(fd, NULL, NULL);
        if (connection < 0) continue;
        if (fork() == 0) {
            serve_one(connection);
            exit(0);
        }
        close(connection);
    }
}

static int dial(const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "serve") == 0) serve(atoi(arguments[2]));
    if (count != 5) return 2;
    const char *what = arguments[1], *host = arguments[2];
    int port = atoi(arguments[3]);
    long number = atol(arguments[4]), bytes = number << 20;
    static double times[CONNECTIONS_MAX];
    if (number > CONNECTIONS_MAX) return 2;
    char byte = 'e';
    double begin = now();
    if (strcmp(what, "rate") == 0 || strcmp(what, "connect") == 0) {
        for (long i = 0; i < number; i++) {
            double before = now();
            int fd = dial(host, port);
            times[i] = (now() - before) * 1e3;
            check(write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1, "echo");
            close(fd);
        }
        qsort(times, (size_t)number, sizeof *times, by_value);
        printf("%.4f\n", *what == 'r' ? (double)number / (now() - begin) : times[number / 2]);
        return 0;
    }
    int fd = dial(host, port);
    long received = 0;
    begin = now();
    if (*what == 'd') {
        check(write(fd, "d", 1) == 1 && write(fd, &bytes, sizeof bytes) == sizeof bytes, "write");
        received = receive_all(fd);
    } else {
        check(write(fd, "u", 1) == 1, "write");
        send_all(fd, bytes);
        shutdown(fd, SHUT_WR);
        check(read(fd, &received, sizeof received) == sizeof received, "read");
    }
    check(received == bytes, "not all has arrived");
    printf("%.4f\n", (double)bytes / 1e6 / (now() - begin));
    return 0;
}
