/*
 * Writes MEBIBYTES to its standard output as fast as it can: lines of text of mixed lengths, or bytes that are no text.
 *
 *   produce text|binary MEBIBYTES
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1024 * 1024, LINE_BYTES_MIN = 20, LINE_BYTES_SPAN = 100 };

static unsigned char block[BLOCK_BYTES];

static uint32_t next(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static void fill_text(void) {
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,:/-_=()";
    for (size_t i = 0, left = 0; i < BLOCK_BYTES; i++) {
        if (left == 0) left = LINE_BYTES_MIN + next() % LINE_BYTES_SPAN;
        block[i] = --left == 0 || i == BLOCK_BYTES - 1 ? '\n' : (unsigned char)LETTERS[next() % (sizeof LETTERS - 1)];
    }
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    if (strcmp(arguments[1], "text") == 0) fill_text();
    else
        for (size_t i = 0; i < BLOCK_BYTES; i++) block[i] = (unsigned char)next();
    for (long left = atol(arguments[2]); left > 0; left--)
        for (size_t done = 0; done < BLOCK_BYTES;) {
            ssize_t written = write(STDOUT_FILENO, block + done, BLOCK_BYTES - done);
            if (written <= 0) return 1;
            done += (size_t)written;
        }
    return 0;
}
