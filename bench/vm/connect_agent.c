/*
 * Runs the guest agent as an ordinary process whose wire is a unix socket, as libkrun's and QEMU's ports are.
 *
 *   connect_agent AGENT SOCKET
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int count, char **arguments) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char number[16];
    if (count != 3 || strlen(arguments[2]) >= sizeof address.sun_path) return 2;
    strcpy(address.sun_path, arguments[2]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect_agent");
        return 1;
    }
    snprintf(number, sizeof number, "%d", fd);
    execl(arguments[1], arguments[1], "--fd", number, (char *)NULL);
    perror(arguments[1]);
    return 1;
}
