/* Takes both kinds of locks on a file, says so, and holds them until it is ended: `lock_file PATH now|wait`. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int waits = strcmp(arguments[2], "wait") == 0;
    int fd = open(arguments[1], O_RDWR);
    struct flock all = {.l_type = F_WRLCK};
    if (fd < 0) return 2;
    if (fcntl(fd, waits ? F_SETLKW : F_SETLK, &all) != 0 || flock(fd, LOCK_EX | (waits ? 0 : LOCK_NB)) != 0) {
        perror("lock");
        return 1;
    }
    puts("locked");
    fflush(stdout);
    if (!waits) pause();
    return 0;
}
