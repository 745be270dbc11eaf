/* A UDP server for guests in tests: answers each datagram with itself. The argument is the port. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int count, char **arguments) {
    static char data[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[count - 1]))};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) return 1;
    for (;;) {
        socklen_t size = sizeof address;
        ssize_t received = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&address, &size);
        if (received >= 0) sendto(fd, data, (size_t)received, 0, (struct sockaddr *)&address, size);
    }
}
